"""The command line: one small file per command, imported only when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import click

from harness import __version__
from harness.errors import HarnessError
from harness.spec import default_home

COMMANDS = ("run", "plan", "plugins", "leaderboard", "data", "doctor")
SIGINT_STATUS = 130


class LazyGroup(click.Group):
    """Imports a command's file when the command is named, so that the door stays light."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command called ``name``."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"harness.cli.{name}")
        command: click.Command = getattr(module, name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="harness")
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_home,
    show_default="HARNESS_HOME, or ~/.harness",
    help="Where data caches, trained stages and records lie.",
)
@click.pass_context
def cli(ctx: click.Context, home: Path) -> None:
    """Find out which training methods really work on noisy web images.

    \b
    Start here:
      harness run --plugin malong_curriculum
      harness leaderboard
    \b
    Shell completion (bash; zsh and fish alike):
      eval "$(_HARNESS_COMPLETE=bash_source harness)"
    """
    ctx.obj = home.expanduser()


def main() -> None:
    """Run the command line; every error that a user can mend is one line and exit status 2."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a table's ± must not end a run
    try:
        status = cli.main(prog_name="harness", standalone_mode=False)
    except HarnessError as error:
        sys.exit(_said(f"Error: {' '.join(str(error).split())}", 2))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(_said("stopped; the same command goes on from here", SIGINT_STATUS))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python complains again at exit
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


def _said(line: str, status: int) -> int:
    sys.stderr.write(f"{line}\n")
    return status
