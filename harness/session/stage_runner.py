"""Running the stages of a run: reuse a finished stage, resume one, or train it from the start."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar
from weakref import ref

import numpy as np
from torch import Tensor, nn

from harness.assembly.prepare import Prepared
from harness.assembly.recipe import Recipe, StageRecipe, plain_view
from harness.changed_columns import changed_columns
from harness.data.pictures.loader import Pictures
from harness.errors import HarnessError, unknown
from harness.machine.garbage import free_cycles
from harness.samples import Samples, StageOutputs
from harness.session.division import divide
from harness.session.encoders import Encoders
from harness.session.features import load_samples, save_samples
from harness.session.foresight import check_stages
from harness.session.fresh_outputs import FreshOutputs
from harness.session.live import Live
from harness.session.stage_loader import FinishedStage, StageLoader
from harness.store.files import atomic_write, write_text
from harness.store.seals import check_marker, read_marker
from harness.store.stages import FINISHING, SAMPLES, StageFolder, stage_folder, weights_file
from harness.testing.score import Member, epoch_scorer
from harness.training.checkpoints import drop_checkpoints, save_tensors, show_best
from harness.training.engines import make_engine
from harness.training.job import Job
from harness.training.learner import Team
from harness.training.loop import train
from harness.training.ranks import Ranks
from harness.values import Stage, apply

T = TypeVar("T")
CHOSEN = "chosen.npz"  # what the epoch tricks chose last, for the first network


class StageRunner:
    """Runs the stages of one run, parents first. Val is scored, but no trick ever sees it."""

    def __init__(self, prepared: Prepared, ranks: Ranks) -> None:
        self._prepared = prepared
        self._spec, self._hooks, self._ranks = prepared.spec, prepared.hooks, ranks
        self._samples, self._val = prepared.samples, prepared.val
        self._loader = StageLoader(prepared, ranks)
        self._finished: dict[str, FinishedStage] = {}
        self._held: list[ref[Tensor]] = []  # weights that nobody needs once a stage is trained

    def check(self, recipe: Recipe) -> None:
        """Raise HarnessError now if a later stage, or the test, could not even begin."""

        def draw(stage: StageRecipe) -> nn.Module:
            network = self._loader.network(stage, None, self._samples.num_classes, start=True)
            # The first import of timm leaves cycles of the frames that it was called from.
            self._held += map(ref, network.parameters())
            return network

        check_stages(recipe, self._prepared, self._ranks, draw)

    def run(self, recipe: StageRecipe) -> FinishedStage:
        """Return the finished stage; train only if no earlier run has finished it."""
        folder = stage_folder(self._spec.home, recipe.key)
        with self._loader.locked(folder):
            marker = self._reusable(recipe, folder)
            cached = marker is not None
            if marker is None:
                marker = self._train(recipe, folder)
                free_cycles(self._held)  # DeepSpeed's engines are cycles, and hold a network
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

    def outputs(self, name: str) -> StageOutputs:
        """Return what a finished stage says of every training sample; all ranks must ask.

        Raises HarnessError if the run has no such stage.
        """
        if name not in self._finished:
            raise HarnessError(unknown("stage", name, self._finished, listing="stages"))
        return self._loader.outputs(self._finished[name])

    def members(self, recipe: Recipe) -> list[Member]:
        """Return the finished stages that are tested together."""
        return self._loader.members(recipe, self._finished)

    def chosen(self, recipe: StageRecipe) -> Samples:
        """Return the samples that the stage was trained on last: after its epoch tricks, if any."""
        path = self._finished[recipe.stage.name].folder.path / CHOSEN
        samples = self.samples(recipe)
        return load_samples(path, samples) if recipe.epoch and path.exists() else samples

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
        encoders = Encoders(recipe, self._prepared, self._ranks, self._loader.report)
        samples = self._samples.assign(
            seen=seen,
            encode_texts=encoders.texts,
            encode_pictures=encoders.pictures,
            divide=partial(divide, self._ranks),
        )
        handled = apply(recipe.noise, samples)  # in every rank: tricks may divide their work
        encoders.free()
        self._ranks.decided(lambda: save_samples(folder.path / "samples.npz", handled))

    def _train(self, recipe: StageRecipe, folder: StageFolder) -> dict[str, Any]:
        spec, stage, ranks, loader = self._spec, recipe.stage, self._ranks, self._loader
        samples = self.samples(recipe)
        start = self._finished[stage.start.name] if stage.start else None
        modules = [
            loader.network(
                recipe,
                start.weights(number)["last"] if start else None,
                samples.num_outputs,
                start=True,
                number=number,
            )
            for number in range(stage.networks)
        ]
        teachers = [loader.teacher(self._finished[teacher.name]) for teacher in stage.teachers]
        engines = [
            make_engine(spec.engine, module, stage, ranks, dict(spec.deepspeed))
            for module in modules
        ]
        val = None if samples.target_names else self._val
        fresh = FreshOutputs(recipe, samples, folder.path, ranks, spec.loader_threads)
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
            choose_samples=fresh.choose if recipe.epoch else None,
            clean=self._clean(stage),
        )
        live = Live(self._hooks, spec, folder.path, ranks)
        try:
            position, meter, team = train(job, engines, ranks, live)
        finally:
            live.end()
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
        self._held += [ref(weights) for weights in team.weights()]
        return self._ranks.decided(lambda: _finish(folder, stage, marker, team))

    def _clean(self, stage: Stage) -> Pictures | None:
        clean = self._prepared.clean
        return Pictures(clean, self._loader.report) if stage.clean and clean is not None else None


def _finish(
    folder: StageFolder, stage: Stage, marker: dict[str, Any], team: Team
) -> dict[str, Any]:
    """Write the last weights, then the marker; return the marker's content."""
    # A short stage leaves no checkpoint: without this file, weights that a killed run wrote would
    # look like those of a finished stage that lost its marker.
    finishing = folder.path / FINISHING
    write_text(finishing, "")
    written = []
    for learner in team.learners:
        files = {"weights": learner.module.state_dict()}
        if learner.average is not None:
            files["averaged"] = learner.average.module.state_dict()
        for name, weights in files.items():
            written.append(weights_file(name, learner.number))
            save_tensors(folder.path / written[-1], weights)
    chosen = team.learners[0].chosen
    if chosen is not None:
        written.append(CHOSEN)
        atomic_write(folder.path / CHOSEN, lambda f: np.savez(f, **_changed(chosen)))
    if 0 < marker["best_epoch"] < stage.epochs:
        written.append("best.pt")
        show_best(folder.path, marker["best_epoch"])
    else:
        (folder.path / "best.pt").unlink(missing_ok=True)
    samples = check_marker(folder.path / SAMPLES) or {"files": {}}
    marker = {**marker, "samples": samples["files"]}
    done = folder.finish(marker, written)
    finishing.unlink(missing_ok=True)
    drop_checkpoints(folder.path)
    return done


def _changed(samples: Samples) -> dict[str, Any]:
    return dict(changed_columns(samples))
