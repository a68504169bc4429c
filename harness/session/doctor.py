"""Checks of this machine: each part is tried, and its state reported."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from humanize import naturalsize

from harness.assembly.discovery import broken_plugins, disabled_plugins, find_plugins
from harness.assembly.identity import versions
from harness.errors import HarnessError
from harness.machine.cores import cores
from harness.store.reading import is_there
from harness.store.stages import DONE

OLDEST, NEWEST = (3, 10), (3, 13)
LITTLE_DISK = 2 << 30
PARTS_OF_HOME = {"data": "*", "stages": "*", "records": "*.json"}  # what counts as one of them
DRIVER_SECONDS = 20.0  # that a driver may take to wake its devices


class PartState(NamedTuple):
    """The state of one part; "note" marks problems that do not stop a run."""

    part: str
    state: Literal["works", "note", "fails"]
    words: str


def check_machine(home: Path, *, thorough: bool = False) -> list[PartState]:
    """Look at every part and return its state; if ``thorough``, also import torch and DeepSpeed.

    They take seconds to import, and say then why they cannot be used.
    """
    return [
        _python(),
        *_libraries(),
        PartState("cpu", "works", f"{cores()} cores"),
        *(_imported() if thorough else _installed()),
        _text_encoder(),
        *_plugins(home),
        *_folders(home),
    ]


def _python() -> PartState:
    tested = OLDEST <= sys.version_info[:2] <= NEWEST
    words = f"{platform.python_version()} at {sys.executable}"
    return PartState("python", "works" if tested else "note", words)


def _libraries() -> Iterator[PartState]:
    for name, found in versions().items():
        if name not in ("python", "deepspeed"):
            missing = found == "not installed"
            yield PartState(name, "fails" if missing else "works", found)


def _installed() -> Iterator[PartState]:
    found = _gpus_of_the_driver()
    yield from (PartState(f"gpu {index}", "works", words) for index, words in enumerate(found))
    if not found:
        yield PartState("gpu", "note", "none found: training runs on the CPU")
    if importlib.util.find_spec("deepspeed") is None:
        yield PartState("deepspeed", "note", "not installed; plain torch trains instead")
    else:
        yield PartState("deepspeed", "works", versions()["deepspeed"])


def _gpus_of_the_driver() -> list[str]:
    """Return a line for each GPU; empty without NVIDIA's driver."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            query, capture_output=True, text=True, check=True, timeout=DRIVER_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.splitlines()


def _imported() -> Iterator[PartState]:
    try:
        import torch
    except Exception as error:  # a broken installation of torch may raise any exception
        yield PartState("devices", "fails", f"torch cannot be imported: {error}")
        return
    yield PartState("devices", "works", f"{torch.get_num_threads()} threads for torch")
    if not torch.cuda.is_available():
        yield PartState("gpu", "note", "none usable by torch: training runs on the CPU")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = naturalsize(properties.total_memory, binary=True)
        words = f"{properties.name}, {memory}"
        try:  # a torch that was built for other GPUs sees it, but has no kernel for it
            torch.ones(1, device=f"cuda:{index}").add(1).item()
        except RuntimeError as error:
            told = str(error).partition("\n")[0]
            yield PartState(f"gpu {index}", "fails", f"{words}: {told}")
        else:
            yield PartState(f"gpu {index}", "works", words)
    from harness.training.deepspeed import unavailable

    reason = unavailable()
    if reason:
        yield PartState("deepspeed", "note", f"{reason}; plain torch trains instead")
    else:
        yield PartState("deepspeed", "works", versions()["deepspeed"])


def _text_encoder() -> PartState:
    from harness.language.models import check_minilm, minilm_folder

    try:
        check_minilm(minilm_folder())
    except HarnessError as error:
        return PartState("text encoder", "note", str(error))
    return PartState("text encoder", "works", "all-MiniLM-L6-v2, the original weights")


def _plugins(home: Path) -> Iterator[PartState]:
    entries = find_plugins()
    disabled = disabled_plugins(home)
    tried = [entry for entry in entries.values() if entry.name not in disabled]
    broken = broken_plugins(tried, home)
    off = f", {len(entries) - len(tried)} disabled" if len(tried) < len(entries) else ""
    yield PartState("plugins", "works", f"{len(tried) - len(broken)} of {len(tried)} load{off}")
    for name, reason in broken.items():
        yield PartState(f"plugin {name}", "note", f"broken: {reason}")


def _folders(home: Path) -> Iterator[PartState]:
    existing = next(path for path in (home, *home.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if existing.is_dir() and os.access(existing, os.W_OK):
        words = f"{home}, {naturalsize(free, binary=True)} free"
        yield PartState("home", "works" if free > LITTLE_DISK else "note", words)
    else:
        yield PartState("home", "fails", f"{home} cannot be written; set HARNESS_HOME")
    for part, pattern in PARTS_OF_HOME.items():
        folder = home / part
        entries = sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        names = ", ".join(path.name for path in entries) if part == "data" else ""
        begun = [path for path in entries if part == "stages" and not is_there(path / DONE)]
        left = f" and {len(begun)} unfinished" if begun else ""
        count = f"{len(entries) - len(begun)} kept{left}, {naturalsize(size, binary=True)}"
        yield PartState(part, "works", f"{count}{': ' if names else ''}{names}")
