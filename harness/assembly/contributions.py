"""The tricks of a run: those of the plan and of plugins, without those that the user leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Any

from harness.assembly.contract import Contribution
from harness.errors import HarnessError, NothingAddedError, PluginError, unknown
from harness.hookspecs import HOOKS

TRICK_HOOKS = frozenset(hook for hook in HOOKS if hook.endswith("_tricks"))


class ChosenTricks:
    """Leaves tricks out by name and remembers which names it met."""

    def __init__(self, without: Sequence[str]) -> None:
        self._without = set(without)
        self._met: dict[str, None] = {}
        self._brought: set[str] = set()

    def of(
        self, plugin: str, hook: str, tricks: Iterable[Any], stage: str
    ) -> list[Contribution[Any]]:
        """Return the tricks of a plugin that ``--without`` does not leave out."""
        found = []
        for trick in tricks:
            name = type(trick).__name__
            self._met[name] = None
            self._brought.add(plugin)
            if name not in self._without:
                found.append(Contribution(plugin, trick, hook, stage))
        return found

    def own(
        self, method: str, hook: str, tricks: object, stage: str = ""
    ) -> list[Contribution[Any]]:
        """Return the tricks that a method's plan brings itself; raises PluginError if not tricks.

        ``stage`` is the stage that they ride on, empty for those of the plan.
        """
        if not isinstance(tricks, tuple) or not all(callable(trick) for trick in tricks):
            place = f"stage {stage!r}" if stage else "the plan"
            raise PluginError(
                f"plugin {method!r}: the {hook.replace('_', ' ')} of {place} must be a tuple of "
                f"tricks, not {tricks!r:.80}"
            )
        return self.of(method, hook, tricks, stage)

    def check_without(self) -> None:
        """Raise HarnessError if a name to leave out was never met."""
        for name in sorted(self._without - self._met.keys()):
            raise HarnessError(unknown("trick", name, self._met, listing="this run's tricks"))

    def check_added(self, plugin: str, hooks: Set[str]) -> None:
        """Raise NothingAddedError if a plugin of ``--with`` leaves the run as it is without it.

        ``hooks`` are those that it has. The run's name would claim a difference that is none.
        """
        if plugin in self._brought or hooks - TRICK_HOOKS - {"plan"}:
            return
        reason = "it has no hook; leave it out"
        if "plan" in hooks:
            reason = f"only the plan of --plugin is used; run it by --plugin {plugin}"
        elif hooks:
            reason = f"its {', '.join(sorted(hooks))} returned no trick; leave it out"
        raise NothingAddedError(f"--with {plugin} adds nothing to this run: {reason}")
