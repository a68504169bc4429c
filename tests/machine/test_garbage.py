"""Cycles are looked for seldom, but they are freed."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import atexit, gc, weakref
from harness.machine.garbage import NEW_OBJECTS, collect_seldom, keep

atexit.register(lambda: print("at the end", gc.get_freeze_count() > 1000))  # the last to be called
collect_seldom()


class Cycle:
    def __init__(self):
        self.own = self


first = weakref.ref(Cycle())
kept = [[] for _ in range(NEW_OBJECTS // 2)]
print("at first", first() is not None)
kept += [[] for _ in range(NEW_OBJECTS)]
print("then", first() is None)
second = weakref.ref(Cycle())
keep()
gc.collect()
print("kept", second() is not None)
"""


def test_a_cycle_is_freed_after_many_new_objects_and_none_is_looked_for_at_the_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "at first True",
        "then True",
        "kept True",
        "at the end True",
    ]
