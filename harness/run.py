"""The road: spec -> samples -> noise handling -> model -> training -> testing -> record."""

from __future__ import annotations

from harness.activation import Activation
from harness.making import Maker
from harness.provenance import record_id, record_of
from harness.recipe import resolve
from harness.record import ResultRecord, read_record, write_record
from harness.spec import RunSpec
from harness.testing.noise_quality import qualities
from harness.testing.score import Examination, labelled_split
from harness.training.deepspeed import micro_batch_size
from harness.training.ranks import join_ranks
from harness.values import Plan


def run(asked: RunSpec) -> ResultRecord:
    """Do what was asked, or go on with it, and return its record; nothing is done twice.

    Raises HarnessError where the user can mend it, and Interrupted after a signal, with its place
    kept: the same call goes on.
    """
    active = Activation(asked)
    spec, hooks = active.spec, active.hooks
    resolve(spec, hooks, "")  # what was asked wrongly shows before any data is drawn or read
    samples = hooks.load_samples(spec, "train")
    val, test = (labelled_split(spec, hooks, name) for name in ("val", "test"))
    tested = [split for split in (val, test) if split is not None]
    recipe = resolve(spec, hooks, samples.fingerprint)
    identity = record_id(spec, recipe, samples, tested)
    finished = spec.home / "records" / f"{identity}.json"
    if finished.exists():
        return read_record(finished)

    ranks = join_ranks()
    for stage in recipe.stages:
        micro_batch_size(stage.stage, ranks.world_size)
    if not ranks.first:
        hooks.silence()
    hooks.on_run_start(spec, Plan(stages=tuple(stage.stage for stage in recipe.stages)))
    maker = Maker(spec, hooks, ranks, samples, val)
    made = [maker.make(stage) for stage in recipe.stages]
    examination = Examination(tested, recipe.protocols(), ranks, spec.loader_threads, finished)
    scores = examination.scores(made[-1].weights(), maker.finished_network(made[-1].recipe))
    quality = qualities(samples, {m.recipe.stage.name: maker.samples(m.recipe) for m in made})
    record = record_of(identity, active, recipe, samples, made, scores, quality, ranks)
    if ranks.first:
        write_record(finished.parent, record)
    ranks.barrier()
    hooks.on_run_end(record)
    return record
