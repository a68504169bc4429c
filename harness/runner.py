"""One run: spec -> samples -> noise handling -> model -> training -> testing -> record."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

from harness.assembly.data_sets import SharedSplits
from harness.assembly.prepare import Prepared, prepare
from harness.errors import HarnessError, unknown
from harness.machine.place import read_place
from harness.progress import loading
from harness.spec import RunSpec
from harness.store.finished import finished_record
from harness.store.leftovers import sweep_leftovers
from harness.store.record import ResultRecord
from harness.store.record_files import write_record
from harness.values import Plan

if TYPE_CHECKING:
    from harness.assembly.recipe import StageRecipe
    from harness.training.ranks import Ranks


def run(asked: RunSpec, shared: SharedSplits | None = None) -> ResultRecord:
    """Train and test as asked and return the record; finished work is reused, never repeated.

    ``shared`` holds the data that several runs of one command have read.

    Raises HarnessError for an error that the user can correct. Raises Interrupted after a signal,
    once the state is saved: the same call resumes the run.
    """
    shared = SharedSplits() if shared is None else shared
    prepared = prepare(asked, shared=shared) if read_place() is None else None
    found = finished_record(prepared.record) if prepared else None
    return found or _train_and_test(asked, prepared, shared)


def train_stage(asked: RunSpec, name: str) -> str:
    """Train one stage of a run, after those that it needs, and test nothing; return its key.

    Raises what ``run`` raises, and HarnessError if the run has no such stage.
    """
    from harness.session.stage_runner import StageRunner

    prepared, ranks = _joined(asked, None, SharedSplits())
    needed: dict[str, StageRecipe] = {}
    for stage in reversed(prepared.recipe.stages):
        children = (parent.name for child in needed.values() for parent in child.stage.parents)
        if stage.stage.name in (name, *children):
            needed[stage.stage.name] = stage
    if name not in needed:
        names = [stage.stage.name for stage in prepared.recipe.stages]
        raise HarnessError(unknown("stage", name, names, listing="stages"))
    runner = StageRunner(prepared, ranks)
    stages = list(reversed(needed.values()))
    prepared.hooks.on_run_start(prepared.spec, Plan(stages=tuple(s.stage for s in stages)))
    return [runner.run(stage) for stage in stages][-1].recipe.key


def _train_and_test(
    asked: RunSpec, prepared: Prepared | None, shared: SharedSplits
) -> ResultRecord:
    place = read_place()
    with loading("torch") if place is None or not place.rank else nullcontext():
        # Imported here, since they need torch: a finished run is answered without it.
        from harness.session.result import record_of
        from harness.session.stage_runner import StageRunner
        from harness.testing.noise_quality import qualities
        from harness.testing.score import Evaluation

    prepared, ranks = _joined(asked, prepared, shared)
    spec, hooks, recipe = prepared.spec, prepared.hooks, prepared.recipe
    found = ranks.decided(partial(finished_record, prepared.record))
    if found is not None:
        return found

    runner = StageRunner(prepared, ranks)
    runner.check(recipe)
    hooks.on_run_start(spec, Plan(stages=tuple(stage.stage for stage in recipe.stages)))
    finished = [runner.run(stage) for stage in recipe.stages]
    prepared = prepared.trained_by(ranks.decided(prepared.ranks_made))
    evaluation = Evaluation(
        tested=prepared.tested,
        members=runner.members(recipe),
        combine=recipe.combine,
        ranks=ranks,
        threads=spec.loader_threads,
        folder=prepared.record.with_suffix(""),
    )
    scores = evaluation.scores()
    handled = {stage.stage.name: runner.chosen(stage) for stage in recipe.stages}
    truth = hooks.load_truth(spec, prepared.samples)
    quality = qualities(prepared.samples, handled, truth)
    extra = hooks.metrics(spec, prepared.samples, handled, runner.outputs)
    record = record_of(prepared, finished, scores, quality, extra, ranks)
    ranks.decided(partial(write_record, prepared.record.parent, record))
    hooks.on_run_end(record)
    return record


def _joined(
    asked: RunSpec, prepared: Prepared | None, shared: SharedSplits
) -> tuple[Prepared, Ranks]:
    """Join the ranks, prepare the run in each, and check that all prepared the same."""
    from harness.training.agreement import check_one_home, check_one_identity
    from harness.training.engines import usable_engine
    from harness.training.ranks import join_ranks

    usable = usable_engine(asked)
    ranks = join_ranks()
    check_one_home(ranks, asked.home)
    if prepared is None or usable != asked:
        prepared = ranks.in_turn(lambda: prepare(usable, ranks.world_size, shared))
    check_one_identity(ranks, prepared.asked)
    prepared = prepared.trained_by(ranks.decided(prepared.ranks_made))
    home, hooks = prepared.spec.home, prepared.hooks
    ranks.decided(lambda: sweep_leftovers(home))
    if not ranks.first:
        hooks.silence()
    return prepared, ranks
