"""What works on this machine, part by part, each found out by trying it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from harness.assembly.discovery import broken_plugins, find_plugins
from harness.assembly.identity import versions
from harness.errors import HarnessError
from harness.machine.cores import cores

OLDEST, NEWEST = (3, 10), (3, 13)
LITTLE_DISK = 2 << 30
STAGE_PARTS = ("data", "stages", "records")


class Finding(NamedTuple):
    """One part and whether it works; "note" is for what no run must have."""

    part: str
    state: Literal["works", "note", "fails"]
    words: str


def diagnose(home: Path) -> list[Finding]:
    """Try every part and say what was found."""
    return [
        _python(),
        *_libraries(),
        *_devices(),
        _deepspeed(),
        _text_encoder(),
        *_plugins(home),
        *_folders(home),
    ]


def _python() -> Finding:
    tested = OLDEST <= sys.version_info[:2] <= NEWEST
    words = f"{platform.python_version()} at {sys.executable}"
    return Finding("python", "works" if tested else "note", words)


def _libraries() -> Iterator[Finding]:
    for name, found in versions().items():
        if name not in ("python", "deepspeed"):
            missing = found == "not installed"
            yield Finding(name, "fails" if missing else "works", found)


def _devices() -> Iterator[Finding]:
    try:
        import torch
    except Exception as error:  # a half-installed torch raises anything
        yield Finding("devices", "fails", f"torch cannot be imported: {error}")
        return
    yield Finding("cpu", "works", f"{cores()} cores, {torch.get_num_threads()} threads for torch")
    if not torch.cuda.is_available():
        yield Finding("gpu", "note", "none found: training runs on the CPU")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / 2**30
        yield Finding(f"gpu {index}", "works", f"{properties.name}, {memory:.0f} GiB")


def _deepspeed() -> Finding:
    from harness.training.deepspeed import unavailable

    reason = unavailable()
    if reason:
        return Finding("deepspeed", "note", f"{reason}; plain torch trains instead")
    return Finding("deepspeed", "works", versions()["deepspeed"])


def _text_encoder() -> Finding:
    from harness.language.models import check_minilm, minilm_folder

    try:
        check_minilm(minilm_folder())
    except HarnessError as error:
        return Finding("text encoder", "note", str(error))
    return Finding("text encoder", "works", "all-MiniLM-L6-v2, the original weights")


def _plugins(home: Path) -> Iterator[Finding]:
    entries = find_plugins()
    broken = broken_plugins(entries.values(), home)
    yield Finding("plugins", "works", f"{len(entries) - len(broken)} of {len(entries)} load")
    for name, reason in broken.items():
        yield Finding(f"plugin {name}", "note", f"broken: {reason}")


def _folders(home: Path) -> Iterator[Finding]:
    existing = next(path for path in (home, *home.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if existing.is_dir() and os.access(existing, os.W_OK):
        words = f"{home}, {free / 2**30:.0f} GiB free"
        yield Finding("home", "works" if free > LITTLE_DISK else "note", words)
    else:
        yield Finding("home", "fails", f"{home} cannot be written; set HARNESS_HOME")
    for part in STAGE_PARTS:
        folder = home / part
        entries = sorted(path for path in folder.glob("*") if not path.name.startswith("."))
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        names = ", ".join(path.name for path in entries) if part == "data" else ""
        count = f"{len(entries)} kept, {size / 2**20:.0f} MiB"
        yield Finding(part, "works", f"{count}{': ' if names else ''}{names}")
