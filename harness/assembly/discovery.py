"""Finding plugins by entry point or in a folder. Listing names imports nothing.

A broken plugin stops no other, and a disabled one is not even imported.
"""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
import sys
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from harness.assembly.plugin_folders import check_importable, folder_plugins
from harness.assembly.sources import GROUP, module_file
from harness.errors import HarnessError, PluginError, unknown
from harness.machine.interpreter import python
from harness.store.files import write_text
from harness.store.reading import read_plain
from harness.store.seals import DamagedError, sealed, unsealed

OWN_DISTRIBUTION = "webvision-harness"
CHECK_SECONDS = 120
MOST_MEMORY = 1 << 20  # bytes
DISABLED = "disabled-plugins.txt"  # below the home; one name a line


Tried: TypeAlias = "str | list[str]"  # why a plugin cannot be imported, or its hooks


class Entry(NamedTuple):
    """One registered plugin: its name, ``module:attribute``, and what installed it."""

    name: str
    value: str
    distribution: str
    version: str
    shadows: tuple[str, ...] = ()  # other distributions that registered the same name
    folder: str = ""  # what HARNESS_PLUGINS_DIR named, if it is not installed


def find_plugins() -> dict[str, Entry]:
    """Return every plugin by name, sorted, installed or in a folder of ``HARNESS_PLUGINS_DIR``.

    Ours win if two distributions share a name, and a folder wins over both: it is what its author
    works on. Raises HarnessError if such a folder is not there.
    """
    found = {**_installed(_folder_times())}
    for plugin in folder_plugins():
        mine = Entry(plugin.name, plugin.value, plugin.distribution, plugin.version)
        hidden = found.get(plugin.name)
        shadows = (hidden.distribution, *hidden.shadows) if hidden else ()
        found[plugin.name] = mine._replace(shadows=shadows, folder=plugin.folder)
    return dict(sorted(found.items()))


def _folder_times() -> tuple[tuple[str, int], ...]:
    """Return what changes if a package is installed or removed: where they lie, and since when."""
    places = [Path(folder).absolute() for folder in sys.path]
    return tuple((str(place), place.stat().st_mtime_ns) for place in places if place.exists())


@lru_cache(maxsize=1)
def _installed(_: tuple[tuple[str, int], ...]) -> Mapping[str, Entry]:
    """Return every installed plugin by name.

    Remembered until a folder's time changes: to read what 190 packages register takes 3 ms, and
    each run of a sweep asks.
    """
    found: dict[str, Entry] = {}
    installed: dict[int, tuple[str, str]] = {}  # each distribution's metadata are parsed once
    for point in entry_points(group=GROUP):
        if id(point.dist) not in installed:
            installed[id(point.dist)] = _distribution(point)
        entry = Entry(point.name, point.value, *installed[id(point.dist)])
        other = found.get(entry.name)
        if other is None or other == entry:
            found[entry.name] = entry
            continue
        winner, loser = sorted((other, entry), key=lambda e: e.distribution != OWN_DISTRIBUTION)
        shadows = (*winner.shadows, loser.distribution, *loser.shadows)
        found[entry.name] = winner._replace(shadows=shadows)
    return found


def _distribution(point: EntryPoint) -> tuple[str, str]:
    """Return name and version of the distribution that registered an entry point."""
    try:
        # A half-removed distribution has no metadata; the exception depends on the Python version.
        about = point.dist.metadata  # type: ignore[union-attr]
        return about["Name"] or "unknown", about["Version"] or "?"
    except Exception:
        return "unknown", "?"


def load_plugin(entry: Entry) -> Any:
    """Import what the entry names; raises PluginError with the reason if that fails."""
    try:
        if entry.folder:
            check_importable(entry.value, entry.folder)
        return EntryPoint(entry.name, entry.value, GROUP).load()
    except (Exception, SystemExit) as error:  # a plugin's import can raise anything at all
        raise PluginError(
            f"plugin {entry.name!r} of {entry.distribution} {entry.version} cannot be imported: "
            f"{type(error).__name__}: {' '.join(str(error).split())}"
        ) from error


def find_entry(name: str, entries: Mapping[str, Entry], home: Path | None = None) -> Entry:
    """Return the entry called ``name``.

    Raises HarnessError naming the nearest, or if it is disabled in ``home``.
    """
    if name not in entries:
        raise HarnessError(unknown("plugin", name, entries, listing="installed"))
    if home is not None and name in disabled_plugins(home):
        raise HarnessError(f"plugin {name!r} is disabled; harness plugins enable {name}")
    return entries[name]


def disabled_plugins(home: Path) -> frozenset[str]:
    """Return the names of the plugins that are disabled in ``home``."""
    try:
        content = read_plain(home / DISABLED, MOST_MEMORY)
    except OSError:
        return frozenset()
    return frozenset(filter(None, content.decode(errors="replace").splitlines()))


def disable_plugin(name: str, home: Path) -> None:
    """Import the plugin no more in runs below ``home``; raises HarnessError if it is unknown."""
    find_entry(name, find_plugins())
    _write_disabled(home, disabled_plugins(home) | {name})


def enable_plugin(name: str, home: Path) -> None:
    """Undo ``disable_plugin``; raises HarnessError if it is not disabled."""
    disabled = disabled_plugins(home)
    if name not in disabled:
        raise HarnessError(unknown("disabled plugin", name, disabled, listing="disabled"))
    _write_disabled(home, disabled - {name})


def _write_disabled(home: Path, names: Iterable[str]) -> None:
    write_text(home / DISABLED, "".join(f"{name}\n" for name in sorted(names)))


def source_file(entry: Entry) -> Path | None:
    """Return the file of the plugin's module, found without importing it; None if there is none."""
    return module_file(entry.value.partition(":")[0].strip())


def summary_of(entry: Entry) -> str:
    """Return the first line of the docstring of the plugin's module, which is not imported.

    Empty if there is none, or the file is not Python that can be read.
    """
    path = source_file(entry)
    if path is None:
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in a plugin's texts
            text = ast.get_docstring(ast.parse(read_plain(path, MOST_MEMORY)))
    except (OSError, SyntaxError, ValueError, RecursionError):  # listing it as broken says why
        return ""
    return (text or "").partition("\n")[0].replace("``", "")


def broken_plugins(entries: Iterable[Entry], home: Path) -> dict[str, str]:
    """Return the reason for each plugin that cannot be imported.

    Plugins are imported in a process of their own, so that this one stays light. That a plugin
    works is remembered until its file or the installed packages change; a broken one is tried again
    each time, because anything may have repaired it.
    """
    found = _tried(entries, home)
    return {name: told for name, told in found.items() if isinstance(told, str)}


def plugins_with(hook: str, home: Path) -> list[str]:
    """Return the names of the installed plugins that have a hook, as ``broken_plugins`` met them.

    Disabled and broken ones are left out.
    """
    disabled = disabled_plugins(home)
    entries = [entry for entry in find_plugins().values() if entry.name not in disabled]
    found = _tried(entries, home)
    return [name for name, told in found.items() if not isinstance(told, str) and hook in told]


def _tried(entries: Iterable[Entry], home: Path) -> dict[str, Tried]:
    """Return for each plugin its hooks, or the reason why it cannot be imported."""
    entries = list(entries)
    memory = home / "plugins.json"
    known = _read_memory(memory)
    keys = {entry.name: _state(entry) for entry in entries}
    missing = [entry for entry in entries if isinstance(known.get(keys[entry.name], ""), str)]
    if missing:
        answers = _import_apart(missing)
        kept = {key: value for key, value in known.items() if key in keys.values()}
        known = kept | {keys[name]: reason for name, reason in answers.items()}
        with suppress(HarnessError):  # a memory that cannot be kept only costs time
            write_text(memory, sealed({"tried": known}))
    return {name: known[key] for name, key in keys.items()}


def _state(entry: Entry) -> str:
    origin = source_file(entry)
    stamps = [origin.stat().st_mtime_ns if origin else 0]
    # Installing or removing a package changes its folder's time.
    folders = sorted({Path(p) for p in sys.path if p.endswith(("site-packages", "dist-packages"))})
    stamps += [folder.stat().st_mtime_ns for folder in folders if folder.exists()]
    return hashlib.sha256(repr((entry, stamps, sys.version)).encode()).hexdigest()


def _read_memory(path: Path) -> dict[str, Tried]:
    try:
        return dict(json.loads(unsealed(read_plain(path, MOST_MEMORY)))["tried"])
    except (OSError, ValueError, KeyError, TypeError, DamagedError):
        return {}


# What plugins print while they are imported must not be taken for an answer.
IMPORT_ALL = """
import json, os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
from harness.assembly.discovery import Entry, load_plugin
from harness.errors import PluginError
from harness.hookspecs import HOOKS
for fields in json.loads(sys.argv[1]):
    entry = Entry(*fields)
    try:
        plugin = load_plugin(entry)
        told = [hook for hook in HOOKS if hasattr(plugin, hook)]
    except PluginError as error:
        told = str(error).partition("cannot be imported: ")[2]
    print(json.dumps([entry.name, told]), file=answers, flush=True)
"""


def _import_apart(entries: list[Entry]) -> dict[str, Tried]:
    command = python(IMPORT_ALL, json.dumps(entries))
    try:
        result = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=CHECK_SECONDS,
            check=False,
        )
        output, ended = result.stdout, f"importing it ended Python with status {result.returncode}"
    except subprocess.TimeoutExpired as error:
        output = error.stdout.decode() if isinstance(error.stdout, bytes) else (error.stdout or "")
        ended = f"importing it takes longer than {CHECK_SECONDS} s"
    answers: dict[str, Tried] = dict(json.loads(line) for line in output.splitlines())
    unanswered = [entry for entry in entries if entry.name not in answers]
    if unanswered:
        answers[unanswered[0].name] = ended
        if unanswered[1:]:
            answers |= _import_apart(unanswered[1:])
    return answers
