"""Commands whose options are given once: click itself takes the last value without a word."""

from __future__ import annotations

from collections import Counter

import click


class OnceGiven(click.Command):
    """A command that refuses an option given twice, unless it is repeatable or a plain switch.

    Otherwise ``--plugin baseline --plugin elr`` would run one of the two and look like both.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Check how often each option is given, then parse as click does."""
        if not ctx.resilient_parsing:  # completion of a line that is not finished
            _, _, given = self.make_parser(ctx).parse_args(args=list(args))
            for param, times in Counter(given).items():
                if times > 1 and isinstance(param, click.Option) and _holds_one(param):
                    often = "twice" if times == 2 else f"{times} times"
                    ctx.fail(f"{param.opts[-1]} is given {often}; give it once")
        return super().parse_args(ctx, args)


def _holds_one(option: click.Option) -> bool:
    is_switch = option.is_flag and not option.secondary_opts
    return not (option.multiple or option.count or is_switch)
