"""Give jobs to a scheduler through submitit, each after those that it needs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from harness.errors import HarnessError
from harness.jobs.graph import Job
from harness.store.files import write_text
from harness.store.reading import is_there, read_plain

if TYPE_CHECKING:
    import submitit

Scheduler = Literal["slurm", "local"]
MOST_TIMEOUTS = 1_000  # a stage may need many time slices; submitit gives up after 3
MOST_MARKER = 1 << 16
OWN = ("name", "nodes", "tasks_per_node", "gpus_per_node")  # set from the command line's options


class Submitted(NamedTuple):
    """A job, the number that the scheduler gave it, and what became of it."""

    job: Job
    number: str
    state: Literal["submitted", "done", "failed", "not started"]
    hint: str = ""

    def __str__(self) -> str:
        """Return the state in words."""
        if self.state == "not started":
            return "not started, since a job that it needs failed"
        return f"{self.state} as {self.number}{', ' if self.hint else ''}{self.hint}"


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a job's processes do; pickled by submitit."""

    job: Job
    cpu: bool

    def __call__(self) -> str:
        """Train the stage, or test the run; return what was finished.

        A warning of the scheduler stops the training at the end of its step. Once the state is
        saved, the same signal is left to submitit, which submits the job again.
        """
        from harness.machine.garbage import collect_seldom
        from harness.machine.launch import keep_freed_memory, share_cores

        if self.cpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        share_cores()
        keep_freed_memory()
        collect_seldom()
        from harness.runner import run, train_stage
        from harness.training.interrupt import Interrupted, stoppable

        try:
            with stoppable():
                if self.job.stage is None:
                    return run(self.job.spec).id
                return train_stage(self.job.spec, self.job.stage)
        except Interrupted as stop:
            if stop.number not in (signal.SIGUSR1, signal.SIGUSR2):
                raise HarnessError(f"stopped by {stop}; submit it again to continue") from stop
            os.kill(os.getpid(), signal.SIGUSR2)
            raise HarnessError("stopped before its time limit") from stop

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Return what is submitted in place of a job that was stopped: the same work."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a job asks of the scheduler; ``options`` are further parameters of submitit."""

    scheduler: Scheduler
    gpus: int
    cpu_ranks: int
    options: Mapping[str, Any]


def parse_options(texts: Sequence[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` parameters of submitit; numbers stay numbers.

    >>> parse_options(("slurm_partition=gpu", "timeout_min=60"))
    {'slurm_partition': 'gpu', 'timeout_min': 60}
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise HarnessError(f"--submit-option {text!r} must be KEY=VALUE")
        if key in OWN:
            raise HarnessError(f"--submit-option {key} is set by the harness; leave it out")
        found[key] = int(value) if value.isdecimal() else value
    return found


def submit(
    jobs: Sequence[Job], resources: Resources, home: Path, tell: Callable[[str], object]
) -> list[Submitted]:
    """Submit the jobs in order; with the scheduler "local", run them here, one after another.

    A job of an earlier submission that is still queued or running is not submitted again. Raises
    HarnessError if submitit is not installed or the scheduler refuses a job.
    """
    queue = _Slurm(resources, home) if resources.scheduler == "slurm" else _Local(resources, home)
    found: dict[str, Submitted] = {}
    for place, job in enumerate(jobs, 1):
        before = [found[key] for key in job.after]
        if any(one.state in ("failed", "not started") for one in before):
            found[job.key] = Submitted(job, "", "not started")
        else:
            found[job.key] = queue.give(job, before)
        tell(f"job {place} of {len(jobs)}, {job.name}: {found[job.key]}")
    return list(found.values())


class _Queue:
    """A scheduler, by way of submitit."""

    def __init__(self, resources: Resources, home: Path) -> None:
        try:
            import submitit
        except ImportError as error:
            raise HarnessError(
                f"--submit needs submitit ({error}): pip install 'webvision-harness[jobs]'"
            ) from error
        self._home, self._cpu = home, not resources.gpus
        folder = home / "jobs" / "logs"
        executors = {"slurm": submitit.SlurmExecutor, "local": submitit.LocalExecutor}
        if resources.scheduler == "slurm" and not executors["slurm"].affinity() > 0:
            raise HarnessError(
                "--submit slurm: there is no srun here; use a machine of the cluster"
            )
        self._executor = submitit.AutoExecutor(
            folder,
            cluster=resources.scheduler,
            **{f"{resources.scheduler}_max_num_timeout": MOST_TIMEOUTS},
        )
        ranks = resources.gpus or resources.cpu_ranks
        given = {"timeout_min": 60 * 24, "tasks_per_node": ranks, "gpus_per_node": resources.gpus}
        self._set(given | dict(resources.options))

    def _set(self, parameters: Mapping[str, Any]) -> None:
        try:
            self._executor.update_parameters(**parameters)
        except (NameError, TypeError, ValueError) as error:
            raise HarnessError(f"--submit-option: {' '.join(str(error).split())}") from error

    def _submitted(self, job: Job) -> Any:
        self._set({"name": f"harness-{job.stage or 'test'}"})
        try:
            return self._executor.submit(Work(job=job, cpu=self._cpu))
        except Exception as error:  # submitit passes on what the scheduler's command printed
            reason = " ".join(str(error).split())
            raise HarnessError(f"the scheduler refuses {job.name}: {reason}") from error


class _Local(_Queue):
    """Runs each job on this machine, and waits for it."""

    def give(self, job: Job, before: Sequence[Submitted]) -> Submitted:
        """Run the job; return it with its state."""
        del before  # ended already
        submitted = self._submitted(job)
        try:
            submitted.result()
        except BaseException as error:
            if not isinstance(error, Exception):  # Ctrl-C: the job saves its state first
                # Not cancel(): its SIGINT ends in a traceback of the process that watches the job.
                os.kill(int(submitted.job_id), signal.SIGTERM)
                submitted.wait()
                raise
            path = submitted.paths.stderr
            return Submitted(job, submitted.job_id, "failed", f"see {path}")
        return Submitted(job, submitted.job_id, "done")


class _Slurm(_Queue):
    """Leaves jobs to Slurm, which knows what each waits for."""

    def give(self, job: Job, before: Sequence[Submitted]) -> Submitted:
        """Submit the job, unless an earlier submission of it has not ended."""
        marker = self._home / "jobs" / f"{job.key}.json"
        if is_there(marker):
            number = str(json.loads(read_plain(marker, MOST_MARKER))["number"])
            if _is_queued(number):
                return Submitted(job, number, "submitted")
        numbers = ":".join(one.number for one in before)
        waits = {"dependency": f"afterok:{numbers}", "kill-on-invalid-dep": "yes"}
        self._set({"slurm_additional_parameters": waits if numbers else {}})
        number = str(self._submitted(job).job_id)
        write_text(marker, json.dumps({"number": number}))
        return Submitted(job, number, "submitted")


def _is_queued(number: str) -> bool:
    """Return whether a job of Slurm has not ended.

    Not submitit's ``done``: it asks sacct, which needs an accounting database.
    """
    command = ["squeue", "--noheader", "--jobs", number, "--format", "%T"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    # Slurm does not know a job that ended some minutes ago: that is an error.
    return asked.returncode == 0 and bool(asked.stdout.strip())
