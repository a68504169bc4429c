"""Running the stages of a run: reuse a finished stage, resume one, or train it from the start."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from harness.assembly.contract import tricks_of
from harness.assembly.prepare import Prepared
from harness.assembly.recipe import Recipe, StageRecipe, plain_view
from harness.assembly.stage_key import encoders_of
from harness.errors import PluginError
from harness.samples import Samples
from harness.session.division import divide, encode_divided
from harness.session.features import load_samples, save_samples
from harness.session.foresight import check_stages
from harness.session.stage_loader import FinishedStage, StageLoader
from harness.store.files import write_text
from harness.store.seals import check_marker, read_marker
from harness.store.stages import FINISHING, SAMPLES, StageFolder, stage_folder
from harness.testing.score import Member, epoch_scorer
from harness.training.checkpoints import drop_checkpoints, save_tensors, show_best
from harness.training.engines import make_engine
from harness.training.loop import Job, train
from harness.training.ranks import Ranks
from harness.values import Stage, apply

T = TypeVar("T")


class StageRunner:
    """Runs the stages of one run, parents first. Val is scored, but no trick ever sees it."""

    def __init__(self, prepared: Prepared, ranks: Ranks) -> None:
        self._prepared = prepared
        self._spec, self._hooks, self._ranks = prepared.spec, prepared.hooks, ranks
        self._samples, self._val = prepared.samples, prepared.val
        self._loader = StageLoader(prepared, ranks)
        self._finished: dict[str, FinishedStage] = {}

    def check(self, recipe: Recipe) -> None:
        """Raise HarnessError now if a later stage, or the test, could not even begin."""
        draw = partial(self._loader.network, weights=None, outputs=self._samples.num_classes)
        check_stages(recipe, self._prepared, self._ranks, draw)

    def run(self, recipe: StageRecipe) -> FinishedStage:
        """Return the finished stage; train only if no earlier run has finished it."""
        folder = stage_folder(self._spec.home, recipe.key)
        with self._loader.locked(folder):
            marker = self._reusable(recipe, folder)
            cached = marker is not None
            marker = marker or self._train(recipe, folder)
        finished = FinishedStage(recipe=recipe, folder=folder, marker=marker)
        self._finished[recipe.stage.name] = finished
        speed = {"cached": float(cached), "images_per_second": marker["images_per_second"]}
        self._hooks.on_stage_end(recipe.stage, speed)
        return finished

    def samples(self, recipe: StageRecipe) -> Samples:
        """Return the samples of a stage after its noise tricks, computed once and saved."""
        folder = stage_folder(self._spec.home, recipe.key)
        self._save_samples(recipe, folder)
        return load_samples(folder.path / "samples.npz", self._samples)

    def members(self, recipe: Recipe) -> list[Member]:
        """Return the finished stages that are tested together."""
        members = []
        for stage in recipe.members:
            finished = self._finished[stage.stage.name]
            if finished.marker["outputs"] != self._samples.num_classes:
                raise PluginError(
                    f"stage {stage.stage.name!r} predicts {finished.marker['outputs']} keywords, "
                    "so it cannot be tested; let a stage with head='new' start from it"
                )
            load = partial(self._loader.finished_network, finished)
            protocols, weights = recipe.protocols(stage), finished.weights()
            members.append(Member(protocols=protocols, weights=weights, network=load))
        return members

    def _reusable(self, recipe: StageRecipe, folder: StageFolder) -> dict[str, Any] | None:
        """Return the marker of a finished stage, or None if one of its files is not as written."""
        marker = self._ranks.decided(folder.whole)
        if marker is None:
            return None
        self._save_samples(recipe, folder)
        # Samples that had to be computed again may differ: a plugin's trick may be unseeded.
        if self._ranks.decided(lambda: self._samples_differ(folder, marker)):
            return None
        return marker

    @staticmethod
    def _samples_differ(folder: StageFolder, marker: dict[str, Any]) -> bool:
        found = read_marker(folder.path / SAMPLES)
        if found is not None and found["files"] == marker["samples"]:
            return False
        folder.set_aside(f"{folder.path} was trained on other samples than its tricks choose now")
        return True

    def _save_samples(self, recipe: StageRecipe, folder: StageFolder) -> None:
        if self._ranks.decided(partial(folder.whole, SAMPLES)) is not None:
            return
        seen = {
            stage.name: self._loader.outputs(self._finished[stage.name])
            for stage in recipe.stage.sees
        }
        samples = self._samples.assign(
            seen=seen,
            encode_texts=partial(self._encode, recipe),
            divide=partial(divide, self._ranks),
        )
        handled = apply(recipe.noise, samples)  # in every rank: tricks may divide their work
        self._ranks.decided(lambda: save_samples(folder.path / "samples.npz", handled))

    def _encode(
        self, recipe: StageRecipe, encoder: str, texts: Sequence[str]
    ) -> NDArray[np.float32]:
        """Encode texts for a stage's noise tricks; its key must name the encoder."""
        if encoder not in encoders_of(tricks_of(recipe.noise)):
            raise PluginError(
                f"it encodes texts with {encoder!r}, but no noise trick of the stage says so; give "
                f"the trick a field or an attribute encoder = {encoder!r}"
            )
        encode = partial(self._hooks.encode_texts, self._spec, encoder)
        return encode_divided(self._ranks, encode, texts) if texts else encode(texts)

    def _train(self, recipe: StageRecipe, folder: StageFolder) -> dict[str, Any]:
        spec, stage, ranks, loader = self._spec, recipe.stage, self._ranks, self._loader
        samples = self.samples(recipe)
        start = self._finished[stage.start.name].weights()["last"] if stage.start else None
        module = loader.network(recipe, start, samples.num_outputs, start=True)
        teachers = [loader.teacher(self._finished[teacher.name]) for teacher in stage.teachers]
        engine = make_engine(spec.engine, module, stage, ranks, dict(spec.deepspeed))
        val = None if samples.target_names else self._val
        job = Job(
            recipe=recipe,
            samples=samples,
            seed=int(loader.random(recipe, 1).integers(1 << 62)),
            threads=spec.loader_threads,
            folder=folder.path,
            evaluate=epoch_scorer(val, plain_view(stage), ranks, spec.loader_threads),
            report=loader.report,
            teachers=teachers,
            checkpoint_seconds=spec.checkpoint_seconds,
        )
        position, meter = train(job, engine, ranks, self._hooks)
        marker = {
            "stage": stage.name,
            "outputs": samples.num_outputs,
            "history": position.history,
            "best_epoch": position.best_epoch,
            "broken_images": len(position.broken),
            "seconds": position.seconds,
            "images_per_second": meter.images_per_second,
            "devices": ranks.world_size,
            "ranks": position.ranks,
        }
        return self._ranks.decided(lambda: _finish(folder, stage, marker, engine.module))


def _finish(
    folder: StageFolder, stage: Stage, marker: dict[str, Any], module: nn.Module
) -> dict[str, Any]:
    """Write the last weights, then the marker; return the marker's content."""
    # A short stage leaves no checkpoint: without this file, weights that a killed run wrote would
    # look like those of a finished stage that lost its marker.
    finishing = folder.path / FINISHING
    write_text(finishing, "")
    save_tensors(folder.path / "weights.pt", module.state_dict())
    has_best = 0 < marker["best_epoch"] < stage.epochs
    if has_best:
        show_best(folder.path, marker["best_epoch"])
    else:
        (folder.path / "best.pt").unlink(missing_ok=True)
    samples = check_marker(folder.path / SAMPLES) or {"files": {}}
    marker = {**marker, "samples": samples["files"]}
    done = folder.finish(marker, ("weights.pt", "best.pt") if has_best else ("weights.pt",))
    finishing.unlink(missing_ok=True)
    drop_checkpoints(folder.path)
    return done
