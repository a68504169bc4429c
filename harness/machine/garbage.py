"""When Python looks for reference cycles: seldom, as a command's imports make none."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterable
from typing import Any
from weakref import ReferenceType

NEW_OBJECTS = 50_000
"""Containers made and not freed before Python looks at the new ones; its own default is 700."""


def collect_seldom() -> None:
    """Let Python look for cycles seldom in this process, and not once more as it ends.

    Importing torch and timm makes a million objects that stay, and Python would look at them again
    and again. A process that imports both takes 2.3 s of processor time instead of 4.0 s.
    """
    gc.set_threshold(NEW_OBJECTS)
    atexit.register(gc.freeze)  # the last look at all of them frees nothing that the end does not


def keep() -> None:
    """Never look at the objects that are there now: they stay until the process ends.

    Looking at 10,000 records again and again is 0.6 s of the 14 s that their site takes to write.
    """
    gc.freeze()


def free_cycles(held: Iterable[ReferenceType[Any]]) -> None:
    """Look for cycles until all of these are gone, at the newest objects first.

    What is still there is held by a cycle. A look at all objects takes 0.2 s in a process with
    torch and timm, a quarter of a run on tiny data; one at the newest takes 0.002 s.
    """
    references = [*held]
    for generation in range(len(gc.get_threshold())):
        if any(reference() is not None for reference in references):
            gc.collect(generation)
