"""The message about a rank that a signal ended: which one, the likely cause, and what to try."""

from __future__ import annotations

import re
import signal

from harness.machine.control_groups import memory_files

CRASHES = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT")
SMALLER = (
    "try a smaller batch (--stage batch_size=...), more --stage accumulation=..., or fewer ranks"
)


def memory_kills() -> int | None:
    """Return how many processes of this control group were killed for memory; None if unknown."""
    for place in memory_files("memory.events", "memory.oom_control"):
        try:
            found = re.search(r"^oom_kill (\d+)$", place.read_text(), re.MULTILINE)
        except OSError:
            continue
        if found:
            return int(found[1])
    return None


def killed_words(rank: int, ranks: int, number: int, kills: tuple[int | None, int | None]) -> str:
    """Return the line for rank ``rank`` that signal ``number`` ended.

    ``kills`` are the control group's ``memory_kills`` before and after the run.
    """
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    before, after = kills
    counted = before is not None and after is not None and after > before
    if name == "SIGKILL" and counted:
        why = f"because the memory of this container or job is used up; {SMALLER}"
    elif name == "SIGKILL":
        why = f"most likely because the machine's memory is used up (see dmesg); {SMALLER}"
    elif name == "SIGBUS":
        why = "most likely because shared memory (/dev/shm) or a disk is full, or a file was cut"
    elif name in CRASHES:
        why = "a crash in a library or the driver; its last messages may be above"
    else:
        why = "sent by something outside the harness"
    return (
        f"Error: rank {rank} of {ranks} was killed by {name}, {why}. The same command "
        "continues from here\n"
    )
