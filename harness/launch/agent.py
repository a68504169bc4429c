"""Start this machine's ranks with torch's agent, the one behind torchrun, and say how they ended.

The agent starts, watches and ends the processes. Four things differ from torchrun's use of it:

- The ranks are forks of the agent, so torch and timm are imported once: both cost 2.6 s of a core,
  which each rank would pay again.
- A signal is passed on to all ranks, and the agent waits for their checkpoints. Its own handlers
  would kill a rank that needs more than 30 s, disregard that nohup disabled SIGHUP, and turn a
  second Ctrl-C into SIGTERM.
- Nodes meet at ``meet``, which says in a line what is missing. torch's rendezvous listens beyond
  this machine even if all ranks are here, and ends in a traceback if its port is taken.
- Of all errors only the first rank's is shown, with the likely cause if it was killed.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

from torch.distributed.elastic.agent.server.api import (
    RunResult,
    WorkerGroup,
    WorkerSpec,
    WorkerState,
)
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.rendezvous import RendezvousHandler, RendezvousInfo
from torch.distributed.elastic.rendezvous.api import RendezvousStoreInfo

from harness.errors import HarnessError
from harness.launch.joining import NODES, meet
from harness.machine.killed import killed_words, memory_kills
from harness.machine.launch import DONE, heeded_signals
from harness.machine.place import Place
from harness.terminal import note, page

SETTLE_SECONDS = 1.0  # by which a rank delays its error: rank 0, whose output is shown, is first
GRACE_SECONDS = 30.0  # for the other ranks to end, once a signal has ended the first
POLL_SECONDS = 0.1
TAIL = 2000
AGENTS_OWN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def launch(command: Callable[[], None], ranks: int, node: Place) -> int:
    """Call ``command`` in ``ranks`` new processes; return the status of the first that failed.

    ``node`` is this machine's place among those that train together. The output of the first rank
    here is shown; that of another only if it failed first. A signal is passed on to all ranks,
    which end when they are ready. Raises HarnessError if nodes are missing, or if a rank ended with
    status 0 but did not finish its work.
    """
    _silence_agent()
    if ranks > 1:
        import timm  # noqa: F401 - here for all ranks: it imports torchvision and torch's compiler
    with tempfile.TemporaryDirectory() as folder:
        agent = _Agent(command, ranks, node, Path(folder))
        kills = memory_kills()
        try:
            result = agent.run()
        except SignalException as stop:
            note(f"stopped by {stop.sigval.name}; the same command continues from here")
            return 128 + stop.sigval
        finally:
            agent.end()
        return _status(result, agent, (kills, memory_kills()), Path(folder))


def _status(
    result: RunResult, agent: _Agent, kills: tuple[int | None, int | None], folder: Path
) -> int:
    """Return the command's exit status; report the rank that failed first."""
    here = agent.get_worker_group().workers
    ranks = here[0].world_size
    if result.failures:
        rank, failed = next(iter(result.failures.items()))
        if failed.local_rank > 0:
            sys.stderr.write(page(_last_words(folder, failed.local_rank)))
        if failed.exitcode >= 0:
            return int(failed.exitcode)
        if not agent.heard:
            sys.stderr.write(f"\n{killed_words(rank, ranks, -failed.exitcode, kills)}")
        return 128 - int(failed.exitcode)
    if agent.vanished or not agent.done.exists():
        rank = here[agent.vanished[0] if agent.vanished else 0].global_rank
        raise HarnessError(
            f"rank {rank} of {ranks} ended with status 0, but did not finish: nothing was "
            "recorded; a plugin or a library may have ended Python"
        )
    return 0


class _Meeting(RendezvousHandler):
    """The only meeting of all nodes, at the store that their ranks use too; none joins later."""

    def __init__(self, node: Place) -> None:
        self._node = node

    def get_backend(self) -> str:
        return "harness"

    @property
    def use_agent_store(self) -> bool:
        return True

    def next_rendezvous(self) -> RendezvousInfo:
        store = meet(self._node, NODES)
        where = RendezvousStoreInfo(self._node.address, store.port)
        return RendezvousInfo(store, self._node.rank, self._node.world_size, where)

    def is_closed(self) -> bool:
        return False

    def set_closed(self) -> None:
        pass

    def num_nodes_waiting(self) -> int:
        return 0

    def get_run_id(self) -> str:
        return "harness"

    def shutdown(self) -> bool:
        return True


class _Agent(LocalElasticAgent):
    """The agent of this machine; it never restarts a rank."""

    def __init__(self, command: Callable[[], None], ranks: int, node: Place, folder: Path) -> None:
        self.heard: list[signal.Signals] = []
        self.vanished: list[int] = []  # local ranks that ended with status 0 before their work did
        self.done = folder / "done"
        self._processes: list[BaseProcess] = []
        self._first_end = 0.0
        self._heeded = heeded_signals()
        self._before = {number: signal.getsignal(number) for number in (*self._heeded, *AGENTS_OWN)}
        spec = WorkerSpec(
            role="rank",
            local_world_size=ranks,
            rdzv_handler=_Meeting(node),
            entrypoint=_rank,
            args=(command, self.done, self._before),
            max_restarts=0,
            monitor_interval=POLL_SECONDS,
        )
        logs = DefaultLogsSpecs(str(folder), dict.fromkeys(range(1, ranks), Std.ALL))
        super().__init__(spec, logs, start_method="fork")
        self._listen()

    def end(self) -> None:
        """Leave no rank and no signal handler behind."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        for process in self._processes:
            if process.is_alive():
                process.kill()
            process.join()

    def _start_workers(self, worker_group: WorkerGroup) -> dict[int, Any]:
        pids: dict[int, int] = super()._start_workers(worker_group)
        started = {process.pid: process for process in multiprocessing.active_children()}
        self._processes = [started[pid] for pid in pids.values() if pid in started]
        self._listen()
        return pids

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        if self._stopping():
            return RunResult(state=WorkerState.HEALTHY)
        result: RunResult = super()._monitor_workers(worker_group)
        if result.state is WorkerState.HEALTHY:
            # A rank that finished answers the agent and then waits for the others. The agent would
            # wait forever for one that ended without an answer.
            ended = [rank for rank, one in enumerate(self._processes) if one.exitcode == 0]
            if ended:
                self.vanished = ended
                return RunResult(state=WorkerState.FAILED)
        return result

    def _stopping(self) -> bool:
        """Return whether ranks still end after a signal: the agent would kill them at the first."""
        running = [process.is_alive() for process in self._processes]
        if not self.heard or not any(running):
            return False
        if all(running):
            return True
        self._first_end = self._first_end or time.monotonic()
        return time.monotonic() - self._first_end < GRACE_SECONDS

    def _listen(self) -> None:
        """Handle signals here: when the agent starts ranks, it installs handlers of its own."""
        for number, before in self._before.items():
            if number in self._heeded:
                signal.signal(number, self._hear)
            elif before == signal.SIG_IGN:
                signal.signal(number, before)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.heard.append(signal.Signals(number))
        if not self._processes:
            raise SignalException("before a rank was started", signal.Signals(number))
        for process in self._processes:
            if process.pid and process.is_alive():
                os.kill(process.pid, number)


def _rank(command: Callable[[], None], done: Path, handlers: dict[signal.Signals, Any]) -> None:
    """Run one rank with new signal handlers, in a group that a terminal sends no Ctrl-C to."""
    os.setsid()
    for number, before in handlers.items():
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, before if before == signal.SIG_IGN else usual)
    first = os.environ["LOCAL_RANK"] == "0"
    if first:
        os.environ[DONE] = str(done)
    status: Any = 0
    try:
        command()
    except SystemExit as end:
        status = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    if status and not first:
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(SETTLE_SECONDS)
    sys.exit(status)


def _silence_agent() -> None:
    """Drop the agent's log: its lines repeat each failure and each signal."""
    log = logging.getLogger("torch.distributed.elastic")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    logging.getLogger("torch.multiprocessing").setLevel(logging.CRITICAL)


def _last_words(folder: Path, local_rank: int) -> str:
    """Return the line of a HarnessError, or otherwise the end of the rank's output."""
    said = {path.name: path for path in folder.glob(f"*/attempt_0/{local_rank}/*.log")}
    text = "".join(said[name].read_text(errors="replace") for name in sorted(said, reverse=True))
    errors = [line for line in text.splitlines(keepends=True) if line.startswith("Error: ")]
    return errors[-1] if errors else text[-TAIL:]
