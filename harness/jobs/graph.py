"""The jobs of many runs: one for every stage that is not trained yet, one to test each run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.assembly.data_sets import SharedSplits
from harness.assembly.prepare import prepare
from harness.spec import RunSpec
from harness.store.origins import is_made_here
from harness.store.stages import stage_folder


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job: train ``stage`` of ``spec``, or test and record the run if it is None.

    ``key`` is the stage's key or the record's id: the same job of two runs has one key. ``after``
    are the keys of the jobs that must end well before this one begins.
    """

    key: str
    spec: RunSpec
    stage: str | None
    after: tuple[str, ...]

    @property
    def name(self) -> str:
        """What people read in the scheduler's list."""
        return f"{self.spec.label} {self.stage or 'test'} seed {self.spec.seed}"


def job_graph(specs: Iterable[RunSpec], world_size: int) -> list[Job]:
    """Return the jobs of what is not finished yet, each after those that it needs.

    A stage that several runs share is one job; each has ``world_size`` processes. Raises
    HarnessError for what is wrong with a run.
    """
    shared = SharedSplits()
    jobs: dict[str, Job] = {}
    for asked in specs:
        prepared = prepare(asked, world_size, shared)
        if is_made_here(prepared.record):
            continue
        spec = prepared.spec
        needed: dict[str, str] = {}  # the job of a stage that is not trained yet, by its name
        for recipe in prepared.recipe.stages:
            if stage_folder(spec.home, recipe.key).done() is not None:
                continue
            parents = dict.fromkeys(parent.name for parent in recipe.stage.parents)
            after = tuple(needed[name] for name in parents if name in needed)
            needed[recipe.stage.name] = recipe.key
            job = Job(key=recipe.key, spec=spec, stage=recipe.stage.name, after=after)
            jobs.setdefault(recipe.key, job)
        test = Job(key=prepared.identity, spec=spec, stage=None, after=tuple(needed.values()))
        jobs.setdefault(test.key, test)
    return list(jobs.values())
