"""Starts Python processes that have torch and timm imported: ``python tests/fork_server.py FD``.

A Python process that trains spends 2.5 s of processor on its imports, a fork of one that has them
10 ms. Each request, on the socket FD, is what a command line and its surroundings are; with it come
a socket, to which the process's number and later its exit status are written, and its two outputs.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from harness.machine.garbage import NEW_OBJECTS

# What a run has soon after its start; DeepSpeed is imported only by runs that it trains.
IMPORTED = (
    *("harness.cli.run", "harness.session.result", "harness.session.stage_runner"),
    *("harness.launch.agent", "timm", "torch.utils.tensorboard"),
)


def next_request(requests: socket.socket) -> dict[str, Any] | None:
    """Return, in a new process, what it shall do; in the server None, once nobody asks any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies of those who wait
    while True:
        message, files, _, _ = socket.recv_fds(requests, 1 << 20, 3)
        if not message:
            return None
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            told, out, err = files
            process = os.fork()
            if process == 0:
                os.close(told)
                for standard, file in enumerate((os.open(os.devnull, os.O_RDONLY), out, err)):
                    os.dup2(file, standard)
                    os.close(file)
                return dict(json.loads(message))
            _tell_end(process, socket.socket(fileno=told))
        for file in files:
            os.close(file)


def _tell_end(process: int, told: socket.socket) -> None:
    told.send(str(process).encode())
    _, status = os.waitpid(process, 0)
    told.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def become(arguments: list[str], cwd: str, environment: dict[str, str]) -> None:
    """Do what ``python ARGUMENTS`` does in that folder and environment."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    more = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    kind, *rest = arguments
    script = kind not in ("-m", "-c")
    first = str(Path(kind).resolve().parent) if script else cwd
    sys.path[:0] = [first, *(path for path in more if path not in sys.path)]
    importlib.invalidate_caches()
    sys.argv = [kind, *rest[not script :]]
    if kind == "-m":
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif script:
        runpy.run_path(kind, run_name="__main__")
    else:
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    del sys.path[0]  # the folder of the tests, whose names must not be imported as libraries
    gc.disable()
    for module in IMPORTED:
        importlib.import_module(module)
    gc.freeze()  # to look at what was imported would copy it into each fork
    gc.set_threshold(NEW_OBJECTS)
    gc.enable()
    request = next_request(socket.socket(fileno=int(sys.argv[1])))
    if request is not None:
        become(**request)
