"""Commands that refuse an option given twice or left empty: click takes both without a word."""

from __future__ import annotations

from collections import Counter

import click

from harness.errors import HarnessError


class StrictCommand(click.Command):
    """A command that refuses an option given twice, unless it is repeatable, and an empty one.

    Otherwise ``--plugin baseline --plugin elr`` would run one of the two and look like both, and
    ``--data "$DATA"`` of an unset variable would run on the default data.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Check what is given, then parse as click does."""
        if not ctx.resilient_parsing:  # completion of a line that is not finished
            values, _, given = self.make_parser(ctx).parse_args(args=list(args))
            for param, times in Counter(given).items():
                if times > 1 and isinstance(param, click.Option) and _holds_one(param):
                    often = "twice" if times == 2 else f"{times} times"
                    ctx.fail(f"{param.opts[-1]} is given {often}; give it once")
                if "" in _several(values.get(param.name or "")):
                    raise HarnessError(f"{_name(param)} is empty; give it a value")
        return super().parse_args(ctx, args)


def _holds_one(option: click.Option) -> bool:
    is_switch = option.is_flag and not option.secondary_opts
    return not (option.multiple or option.count or is_switch)


def _name(param: click.Parameter) -> str:
    return param.opts[-1] if isinstance(param, click.Option) else param.human_readable_name


def _several(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)
