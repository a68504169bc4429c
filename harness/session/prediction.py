"""Predicting pictures that a finished run was not scored on, such as a test without labels."""

from __future__ import annotations

from harness.assembly.prepare import Prepared, prepare
from harness.errors import HarnessError
from harness.samples import Samples
from harness.scores import Epoch
from harness.session.stage_loader import FinishedStage, StageLoader
from harness.spec import RunSpec
from harness.store.record import ResultRecord
from harness.store.stages import stage_folder
from harness.testing.predictions import StoredPredictions
from harness.testing.score import Evaluation
from harness.training.ranks import join_ranks


def predict_with(
    record: ResultRecord,
    spec: RunSpec,
    processes: int,
    samples: Samples,
    protocol: str,
    epoch: Epoch,
) -> StoredPredictions:
    """Predict pictures with the networks that a finished run tests.

    ``spec`` asks for the run of ``record``, which ``processes`` trained.

    Raises:
        HarnessError: The spec is of another run or other data, the weights are not in HOME, or the
            run has no such views or weights.
    """
    prepared = prepare(spec, processes)
    _check(record, prepared)
    ranks = join_ranks()
    loader = StageLoader(prepared, ranks)
    evaluation = Evaluation(
        tested=prepared.tested,
        members=loader.members(prepared.recipe, _finished(record, prepared)),
        combine=prepared.recipe.combine,
        ranks=ranks,
        threads=spec.loader_threads,
        folder=prepared.record.with_suffix(""),
    )
    return evaluation.predictions(samples, protocol, epoch)


def _check(record: ResultRecord, prepared: Prepared) -> None:
    """Refuse to predict with other networks than those that the record is of."""
    if prepared.samples.fingerprint != record.data.fingerprint:
        raise HarnessError(
            f"{record.id} was trained on other pictures than {prepared.spec.data}; name the data "
            "set that it was trained on"
        )
    decided = ("stages", "members", "combine", "seed")
    if any(prepared.decides[name] != record.decides.get(name) for name in decided):
        raise HarnessError(
            f"{record.id} cannot predict: its plugins have changed since, or it had settings that "
            f"its record does not hold; run {record.label!r} again"
        )


def _finished(record: ResultRecord, prepared: Prepared) -> dict[str, FinishedStage]:
    found = {}
    for recipe in prepared.recipe.members:
        name, folder = recipe.stage.name, stage_folder(prepared.spec.home, recipe.key)
        marker = None
        if folder.path.is_dir():
            with folder.locked():
                marker = folder.whole()
        if marker is None:
            raise HarnessError(
                f"the weights of stage {name!r} of {record.id} are not in {folder.path}; run "
                f"{record.label!r} again"
            )
        found[name] = FinishedStage(recipe=recipe, folder=folder, marker=marker)
    return found
