"""Asking a plugin's hook: with values that it cannot change, and under its name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from harness.assembly.calling import calling
from harness.errors import PluginError, unknown
from harness.hookspecs import HOOKS, hook_arguments
from harness.spec import RunSpec, read_only_spec
from harness.store.record import ResultRecord

if TYPE_CHECKING:
    import pluggy

MARK = "harness_impl"  # what pluggy's marker sets on a function
NEARLY = 0.85  # alike: "noise_trick" is 0.96 of "noise_tricks", "planned" 0.73 of "plan"
DRAWS: dict[str, tuple[str, ...] | None] = {
    "build_model": ("torch",),  # seeded by the run before
    "load_samples": ("torch", "numpy"),  # identified by its fingerprint
    "encode_texts": ("torch", "numpy"),  # libraries draw while they load a network
    "encoder_identity": ("torch", "numpy"),
    "picture_encoder": ("torch", "numpy"),
    "on_step_end": None,
    "on_batch": None,
    "read_texts": None,
    "read_queries": None,
    "read_context": None,
}
"""The global random states that a hook's answer may draw from; see ``calling``. Else none."""


def ask(name: str, hook: str, answer: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """Call a plugin's hook with values that it cannot change for others."""
    where = f" in stage {given['stage'].name!r}" if "stage" in given else ""
    with calling(f"plugin {name!r}: {hook}{where}", draws=DRAWS.get(hook, ())):
        return answer(**{key: _for_plugin(value) for key, value in given.items()})


def _for_plugin(value: Any) -> Any:
    """Return a read-only view or a copy."""
    if isinstance(value, RunSpec):
        return read_only_spec(value)
    if isinstance(value, ResultRecord):
        return value.model_copy(deep=True)
    return MappingProxyType(value) if isinstance(value, dict) else value


def check_names(name: str, plugin: object) -> None:
    """Refuse a function that is marked as a hook that does not exist, or nearly named as a hook.

    It would never be called. Also refuses arguments that a hook is not given.
    """
    for attribute in dir(plugin):
        if attribute.startswith("_"):
            continue
        if attribute in HOOKS:
            _check_arguments(name, attribute, _plain(plugin, attribute))
            continue
        marks = getattr(_plain(plugin, attribute), MARK, {})
        if marks and not marks["specname"] and not marks["optionalhook"]:
            raise PluginError(
                f"plugin {name!r} cannot be used: {unknown('hook', attribute, HOOKS)}"
            )
        near = _nearest_hook(attribute)
        if not near:
            continue
        found = inspect.getattr_static(plugin, attribute)
        imported = isinstance(plugin, ModuleType) and inspect.getmodule(found) is not plugin
        if inspect.isroutine(found) and not imported:
            raise PluginError(
                f"plugin {name!r} cannot be used: it has {attribute!r}, which is not a hook; did "
                f"you mean {near!r}? Rename it, or begin its name with _"
            )


def _plain(plugin: object, attribute: str) -> object:
    """Return what a name of a plugin stands for, without calling or binding it."""
    found = inspect.getattr_static(plugin, attribute)
    return found.__func__ if isinstance(found, (staticmethod, classmethod)) else found


def _check_arguments(name: str, hook: str, function: object) -> None:
    """Refuse an argument without a default that the hook is not given."""
    if not inspect.isfunction(function) or not hasattr(function, MARK):
        return
    wanted = [
        one.name
        for one in inspect.signature(function).parameters.values()
        if one.default is one.empty and one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    ]
    given = hook_arguments(hook)
    for argument in wanted:
        if argument not in given and argument not in ("self", "cls"):
            what = unknown(f"argument of {hook}", argument, given, listing="it is given")
            raise PluginError(f"plugin {name!r} cannot be used: {what}")


@cache  # a run sets up the same plugins several times
def _nearest_hook(attribute: str) -> str:
    return next(iter(difflib.get_close_matches(attribute, HOOKS, n=1, cutoff=NEARLY)), "")


def check_implementation(impl: pluggy.HookImpl, arguments: Sequence[str]) -> None:
    """Refuse what pluggy accepts but what would not do here what its author means."""
    where = f"plugin {impl.plugin_name!r} cannot be used: {impl.function.__name__}"
    if impl.hookwrapper or impl.wrapper or impl.tryfirst or impl.trylast:
        raise PluginError(
            f"{where} is a wrapper or changes its place in the order (tryfirst, trylast); use a "
            "plain @hookimpl"
        )
    ignored = [name for name in impl.kwargnames if name in arguments]
    if ignored:
        raise PluginError(
            f"{where} has a default for {ignored[0]!r}, so pluggy would never pass it; remove the "
            "default"
        )


def with_arguments(function: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    """Call ``function`` with those of the given arguments that it takes."""
    return lambda **given: function(**{name: given[name] for name in names})
