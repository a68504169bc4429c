"""The command line: one small file per command, imported only when it is used."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from io import StringIO
from pathlib import Path

import click

from harness import __version__
from harness.cli.lazy import LazyGroup
from harness.cli.local_rank import local_rank_option
from harness.cli.streams import drop_output, open_streams, written_output
from harness.errors import HarnessError
from harness.machine.garbage import collect_seldom
from harness.spec import default_home, usable_home
from harness.store.files import FULL, unwritable
from harness.store.lock import met_no_locks
from harness.store.reading import PASSING, unreadable
from harness.terminal import note, page

SIGINT_STATUS = 130


@click.group(
    cls=LazyGroup,
    prefix="harness.cli.",
    group="harness.commands",
    order=(
        *("run", "plan", "estimate", "plugins", "leaderboard", "compare", "ablate", "reproduce"),
        *("verify", "export", "predict", "score", "serve", "tensorboard", "data", "doctor"),
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="harness")
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    default=default_home,
    show_default="HARNESS_HOME, or ~/.harness",
    help="Folder of data caches, trained stages and records.",
)
@click.option(
    "--plugins-dir",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folder of plugins that are not installed; repeatable.  [default: HARNESS_PLUGINS_DIR]",
)
@local_rank_option
@click.pass_context
def cli(ctx: click.Context, home: Path, plugins_dir: tuple[Path, ...]) -> None:
    """Find out which training methods really work on noisy web images.

    \b
    Start here:
      harness run --plugin malong_curriculum
      harness leaderboard
    \b
    Shell completion (bash; or zsh_source, fish_source):
      eval "$(_HARNESS_COMPLETE=bash_source harness)"
    """
    ctx.obj = usable_home(home)
    if plugins_dir:  # by the environment, since ranks and jobs are processes of their own
        folders = map(str, (folder.expanduser().absolute() for folder in plugins_dir))
        os.environ["HARNESS_PLUGINS_DIR"] = os.pathsep.join(folders)


def main() -> None:
    """Run the command line; an error that a user can fix is one line and exit status 2."""
    collect_seldom()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without ± must not end a run
    try:
        open_streams()
        with written_output():
            status = cli.main(prog_name="harness", standalone_mode=False)
    except BrokenPipeError:
        drop_output()
        sys.exit(1)
    except (HarnessError, OSError) as error:
        _show_traceback(error)
        sys.exit(_report(f"Error: {_line(error)}", 2))
    except click.ClickException as error:
        words = StringIO()
        error.show(words)
        sys.stderr.write(page(words.getvalue()))
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        # Click turns every EOFError into Abort, also that of a reader of a short file.
        if isinstance(error.__cause__, EOFError):
            raise error.__cause__ from None
        sys.exit(_report("stopped; the same command continues from here", SIGINT_STATUS))
    sys.exit(status if isinstance(status, int) else 0)


def _line(error: HarnessError | OSError) -> str:
    """Return the line for an error that the user can fix; raise any other one."""
    if isinstance(error, HarnessError):
        return str(error)
    if error.errno in FULL:
        return unwritable(error.filename or "a file", error)
    if isinstance(error, FileNotFoundError) and met_no_locks():
        return (
            f"{error.filename or 'a file'} was removed while it was needed, most likely by "
            "another command, because its disk has no locks; start the same command again when "
            "the other has ended"
        )
    if error.errno not in PASSING:
        raise error
    return unreadable(error.filename or "a file", error)


def _show_traceback(error: Exception) -> None:
    """Print the way to an error for the author of a plugin, if the environment asks for it."""
    if os.environ.get("HARNESS_TRACEBACK", "0") not in ("", "0"):
        traceback.print_exception(error)


def _report(line: str, status: int) -> int:
    with suppress(OSError):  # standard error may also be on the full disk
        note(line)
    return status
