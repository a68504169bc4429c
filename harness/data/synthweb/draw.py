"""Draws many pictures into files, in this process and in worker processes.

The workers are started by ``harness.machine.interpreter``, not by multiprocessing, which would run
the caller's main script again in each of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

from harness.data.synthweb.scenes import Picture, StyleName, render
from harness.machine.interpreter import python

Progress = Callable[[int, int], None]
Job = tuple[str, Picture]

# A picture takes about half a millisecond; for fewer pictures starting a process does not pay.
WORTH_A_PROCESS = 1_000
_CHUNK = 128


def draw_all(part: Path, jobs: list[Job], processes: int, progress: Progress | None) -> None:
    """Draw all ``jobs`` under ``part``; each has its own seed, so any process may draw it.

    Raises:
        OSError: A picture cannot be written.
    """
    chunks = [jobs[start : start + _CHUNK] for start in range(0, len(jobs), _CHUNK)]
    done = 0
    if progress:
        progress(0, len(jobs))
    for count in _draw_chunks(part, chunks, processes):
        done += count
        if progress:
            progress(done, len(jobs))


def _draw_chunks(part: Path, chunks: list[list[Job]], processes: int) -> Iterator[int]:
    """Yield the size of each chunk once it is on disk."""
    left = dict(enumerate(chunks))
    if processes > 1:
        for number in _draw_in_others(part, chunks, processes):
            yield len(left.pop(number))
    # All chunks, or those that workers left: then this process raises their error itself.
    for chunk in left.values():
        draw_chunk(part, chunk)
        yield len(chunk)


def _draw_in_others(part: Path, chunks: list[list[Job]], processes: int) -> Iterator[int]:
    """Yield the number of each chunk that another process has drawn."""
    reading, writing = os.pipe()
    command = python("from harness.data.synthweb.draw import work; work()", str(part))
    workers: list[subprocess.Popen[bytes]] = []
    with os.fdopen(reading) as told:
        try:
            with os.fdopen(writing) as shared:
                for first in range(processes):
                    share = [(n, chunks[n]) for n in range(first, len(chunks), processes)]
                    # A worker that cannot start, or dies early, leaves its share to this process.
                    with contextlib.suppress(OSError):
                        workers.append(_start(command, shared.fileno()))
                        _tell(workers[-1], json.dumps(share).encode())
            for line in told:
                yield int(line)
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()


def _start(command: list[str], shared: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=shared, stderr=subprocess.DEVNULL
    )


def _tell(worker: subprocess.Popen[bytes], share: bytes) -> None:
    with cast("IO[bytes]", worker.stdin) as stdin:
        stdin.write(share)


def draw_chunk(part: Path, chunk: list[Job]) -> None:
    """Draw and write some pictures."""
    for file, picture in chunk:
        (part / file).write_bytes(render(picture))


def work() -> None:
    """Draw the chunks that standard input lists, below the folder given as argument.

    Prints the number of each finished chunk. If the parent was killed, printing fails, which ends
    this process too.
    """
    part = Path(sys.argv[1])
    for number, chunk in json.load(sys.stdin):
        draw_chunk(part, [(file, _picture(*picture)) for file, picture in chunk])
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


def _picture(thing: list[int] | str, style: str, seed: list[int]) -> Picture:
    """Restore a picture from JSON, which turns tuples into lists."""
    shown = thing if isinstance(thing, str) else (thing[0], thing[1])
    return Picture(shown, cast("StyleName", style), tuple(seed))
