"""Calling a plugin's code: errors name the plugin, and global state stays unchanged."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import HarnessError, PluginError
from harness.machine.place import read_place
from harness.store.files import FULL
from harness.store.reading import PASSING

_LIBRARIES = {
    "site-packages",
    "dist-packages",
    f"python{sys.version_info[0]}.{sys.version_info[1]}",
}
VARIABLES = (
    *("HARNESS_HOME", "RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
    *("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"),
)
"""Environment variables that decide where a run's files are and how it computes."""


class Switch(NamedTuple):
    """One piece of state that the whole process shares: its name, how to read and restore it.

    ``usual`` is its value in a process that has not imported torch yet; None if it is unknown.
    A ``slow`` one is not watched in every step.
    """

    name: str
    read: Callable[[Any], Any]
    restore: Callable[[Any, Any], object]
    usual: Any = None
    slow: bool = False


SWITCHES = (
    Switch(
        "torch's default dtype",
        lambda torch: str(torch.get_default_dtype()),
        lambda torch, was: torch.set_default_dtype(getattr(torch, was.partition(".")[2])),
        "torch.float32",
    ),
    Switch(
        "torch's default device",
        lambda torch: str(torch.get_default_device()),
        lambda torch, was: torch.set_default_device(None if was == "cpu" else was),
        "cpu",
        slow=True,
    ),
    Switch(
        "torch's grad mode",
        lambda torch: torch.is_grad_enabled(),
        lambda torch, was: torch.set_grad_enabled(was),
    ),
    Switch(
        "torch's deterministic mode",
        lambda torch: torch.are_deterministic_algorithms_enabled(),
        lambda torch, was: torch.use_deterministic_algorithms(was),
        usual=False,
    ),
    Switch(
        "torch's precision of matrix products",
        lambda torch: torch.get_float32_matmul_precision(),
        lambda torch, was: torch.set_float32_matmul_precision(was),
        "highest",
    ),
    Switch(
        "torch's number of threads",
        lambda torch: torch.get_num_threads(),
        lambda torch, was: torch.set_num_threads(was),
    ),
)
_FAST_SWITCHES = tuple(switch for switch in SWITCHES if not switch.slow)


class calling:  # noqa: N801 - read as a statement: with calling(who)
    """Run a plugin's code, called ``who`` in every error; ``hook`` is what brought it.

    Whatever it raises becomes one line with the place in its source; ``HARNESS_TRACEBACK=1`` shows
    the whole way there. Errors of the machine (memory, a full disk, a lost rank) are not its own.

    Raises PluginError if it fails, writes into what is read-only, leaves another working folder,
    another of ``SWITCHES`` or ``VARIABLES`` behind, or moves on a global random state that is not
    among ``draws`` ("torch", "numpy"). What was changed is restored first. ``draws=None`` is for
    every step: it watches the switches that are not ``slow``, and ``StepWatch`` the rest.
    """

    __slots__ = ("_before", "_draws", "_hook", "_states", "_who")

    def __init__(self, who: str, *, hook: str = "", draws: tuple[str, ...] | None = ()) -> None:
        self._who, self._hook, self._draws = who, hook, draws

    def __enter__(self) -> None:
        self._before = _shared(fast=self._draws is None)
        self._states = {} if self._draws is None else _random_states()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if error is None:
            if self._draws is not None or self._before != _shared(fast=True):
                self._check()
        # A plugin's code can raise anything at all.
        elif isinstance(error, Exception) and not isinstance(error, HarnessError):
            self._name(error)

    def _name(self, error: Exception) -> None:
        """Raise the error again as one that names the plugin, unless the machine caused it."""
        if isinstance(error, (ValueError, TypeError)) and _is_a_write(error):
            raise PluginError(
                f"{self._who} writes into its arguments, which are read-only{_line_of(error)}; "
                "return a changed copy, made by samples.assign(weight=...) or "
                "dataclasses.replace(...)"
            ) from error
        if _is_of_the_machine(error):
            return
        where = f"{self._who} ({self._hook})" if self._hook else self._who
        reason = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
        raise PluginError(f"{where}: {reason}{_line_of(error)}") from error

    def _check(self) -> None:
        """Raise an error if the code left shared state changed, after restoring it."""
        _check_shared(self._who, self._before, _shared(fast=VARIABLES[0] not in self._before))
        for name, state in self._states.items():
            if name not in (self._draws or ()) and not _same(state, _random_states()[name]):
                _restore_random(name, state)
                raise PluginError(
                    f"{self._who} draws from {name}'s global random state or seeds it; draw from a "
                    "separate generator, seeded by one of its fields or by batch.seed"
                )


class StepWatch:
    """Watches once a step what its guards leave out, because reading it takes longer.

    That is the working folder, and those of ``SWITCHES`` that are ``slow``: 0.05 ms.
    """

    def __init__(self, who: str) -> None:
        self._who, self._before = who, _left_out()

    def check(self) -> None:
        """Raise PluginError if something differs from the beginning, after restoring it."""
        _check_shared(self._who, self._before, _left_out())


def _is_a_write(error: Exception) -> bool:
    text = str(error)
    proxy = "mappingproxy" in text and "does not support item" in text
    return "read-only" in text or proxy


def _is_of_the_machine(error: Exception) -> bool:
    """Whether callers handle this error themselves, whichever code raised it."""
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch and isinstance(error, torch.OutOfMemoryError)):
        return True
    if isinstance(error, OSError):
        return error.errno in FULL or error.errno in PASSING
    # A lost rank raises a RuntimeError in the code that waits for it.
    return isinstance(error, RuntimeError) and read_place() is not None


def _line_of(error: BaseException) -> str:
    """Return the innermost line outside of libraries, as its author wrote it, if it can be read."""
    found = ""
    trace = error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        text = linecache.getline(str(path), trace.tb_lineno).strip()
        if text and not (found and _LIBRARIES & set(path.parts)):
            found = f" ({path.name}, line {trace.tb_lineno}: {text:.80})"
        trace = trace.tb_next
    return found


def _shared(*, fast: bool) -> dict[str, Any]:
    """Return the state that the process shares; if ``fast``, without what takes long to read."""
    torch = sys.modules.get("torch")
    if fast and torch:
        return {switch.name: switch.read(torch) for switch in _FAST_SWITCHES}
    values = {s.name: s.read(torch) if torch else s.usual for s in SWITCHES}
    return values | _working_folder() | {name: os.environ.get(name) for name in VARIABLES}


def _left_out() -> dict[str, Any]:
    """Return what the guards of a step leave out."""
    torch = sys.modules["torch"]
    return {s.name: s.read(torch) for s in SWITCHES if s.slow} | _working_folder()


def _working_folder() -> dict[str, Any]:
    try:
        return {"working folder": os.getcwd()}  # noqa: PTH109 - a third of Path.cwd's time
    except OSError:  # it was removed: a plugin can make it no worse
        return {}


def _check_shared(who: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    if after == before:
        return
    # Unknown until torch was imported, just now.
    unknown = {s.name for s in SWITCHES if before.get(s.name) is None}
    changed = [n for n, was in before.items() if n not in unknown and after.get(n) != was]
    for name in changed:
        _restore(name, before[name])
    if changed:
        name = changed[0]
        raise PluginError(
            f"{who} changes {name} from {before[name]} to {after.get(name)} for all other code; "
            "set it back before it returns"
        )


def _restore(name: str, was: Any) -> None:
    by_name = {switch.name: switch for switch in SWITCHES}
    if name in by_name:
        by_name[name].restore(sys.modules["torch"], was)
    elif name == "working folder":
        os.chdir(was)
    elif was is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = was


def _random_states() -> dict[str, Any]:
    states: dict[str, Any] = {}  # not Python's own: libraries draw from it while they are imported
    if "numpy" in sys.modules:
        state = sys.modules["numpy"].random.get_state()
        states["numpy"] = (state[1].tobytes(), *state[2:])
    if "torch" in sys.modules:
        states["torch"] = sys.modules["torch"].get_rng_state()
    return states


def _same(before: Any, after: Any) -> bool:
    same = before == after
    return same if isinstance(same, bool) else bool(same.all())


def _restore_random(name: str, state: Any) -> None:
    if name == "torch":
        sys.modules["torch"].set_rng_state(state)
    else:
        numpy = sys.modules["numpy"]
        words = numpy.frombuffer(state[0], numpy.uint32)
        numpy.random.set_state(("MT19937", words, *state[1:]))
