"""Making one stage: reuse it, go on with it, or train it from the start."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from harness.assembly.contract import tricks_of
from harness.assembly.prepare import Prepared
from harness.assembly.recipe import Recipe, StageRecipe, plain_view
from harness.assembly.stage_key import encoders_of
from harness.data.pictures.loader import Pictures
from harness.errors import PluginError, TrainingError
from harness.samplers import generator
from harness.samples import Samples, StageOutputs
from harness.session.features import load_outputs, load_samples, save_outputs, save_samples
from harness.session.foresight import check_stages
from harness.store.seals import check_marker, read_marker
from harness.store.stages import SAMPLES, SIGHT, StageFolder, stage_folder
from harness.terminal import note
from harness.testing.predict import extract_features
from harness.testing.score import Epoch, Member, epoch_scorer
from harness.training.checkpoints import (
    drop_checkpoints,
    drop_unfinished,
    load_tensors,
    save_tensors,
)
from harness.training.engine import make_engine
from harness.training.loop import Job, train
from harness.training.ranks import Ranks
from harness.values import Stage, apply

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class FinishedStage:
    """A finished stage: its recipe, its folder and what its marker says."""

    recipe: StageRecipe
    folder: StageFolder
    marker: dict[str, Any]

    def weights(self) -> dict[Epoch, Path]:
        """The files of the last epoch's weights and, where val was scored, of the best one's."""
        files: dict[Epoch, Path] = {"last": self.folder.path / "weights.pt"}
        if 0 < self.marker["best_epoch"] < self.recipe.stage.epochs:
            files["best"] = self.folder.path / "best.pt"
        elif self.marker["best_epoch"]:
            files["best"] = files["last"]
        return files


class StageRunner:
    """Makes the stages of one run, parents first. Val is scored, but no trick ever sees it."""

    def __init__(self, prepared: Prepared, ranks: Ranks) -> None:
        self._prepared = prepared
        self._spec, self._hooks, self._ranks = prepared.spec, prepared.hooks, ranks
        self._samples, self._val = prepared.samples, prepared.val
        self._made: dict[str, FinishedStage] = {}
        self._told: set[str] = set()

    def check(self, recipe: Recipe) -> None:
        """Raise HarnessError now where a later stage, or the test, could not even begin."""
        draw = partial(self.network, weights=None, outputs=self._samples.num_classes)
        check_stages(recipe, self._prepared, self._ranks, draw)

    def make(self, recipe: StageRecipe) -> FinishedStage:
        """Return the finished stage; nothing is trained where it was finished before."""
        folder = stage_folder(self._spec.home, recipe.key)
        with self._alone(folder):
            marker = self._finished(recipe, folder)
            cached = marker is not None
            marker = marker or self._train(recipe, folder)
        made = FinishedStage(recipe=recipe, folder=folder, marker=marker)
        self._made[recipe.stage.name] = made
        speed = {"cached": float(cached), "images_per_second": marker["images_per_second"]}
        self._hooks.on_stage_end(recipe.stage, speed)
        return made

    def _finished(self, recipe: StageRecipe, folder: StageFolder) -> dict[str, Any] | None:
        """Return what the stage's marker says if all that it needs is as it was written."""
        marker = self._from_first(folder.whole)
        if marker is None:
            return None
        self._work_out(recipe, folder)
        # Samples that had to be made again may be others: a plugin's trick may be unseeded.
        if self._from_first(lambda: self._samples_differ(folder, marker)):
            return None
        return marker

    @staticmethod
    def _samples_differ(folder: StageFolder, marker: dict[str, Any]) -> bool:
        found = read_marker(folder.path / SAMPLES)
        if found is not None and found["files"] == marker["samples"]:
            return False
        folder.set_aside(f"{folder.path} was trained on other samples than its tricks choose now")
        return True

    def _from_first(self, ask: Callable[[], T]) -> T:
        """Ask rank 0 alone, which tells the others."""
        return cast("T", self._ranks.broadcast(ask() if self._ranks.first else None))

    def network(
        self, recipe: StageRecipe, weights: Path | None, outputs: int, *, begins: bool = False
    ) -> nn.Module:
        """Build a stage's network, freshly drawn by the run's seed or with the weights given.

        A network that ``begins`` from an earlier stage's weights keeps its fresh head where the
        stage asks for a new one.
        """
        torch.manual_seed(int(self._draws(recipe, 0).integers(1 << 62)))
        drawn = self._hooks.build_model(self._spec, recipe.stage, outputs)
        module: nn.Module = apply(recipe.model, drawn)
        if weights is not None:
            _load(module, load_tensors(weights), recipe, begins=begins)
        return module

    def finished_network(self, made: FinishedStage, weights: Path) -> nn.Module:
        """Load a file of a finished stage's weights onto the device."""
        module = self.network(made.recipe, weights, made.marker["outputs"])
        return module.to(self._ranks.device).to(memory_format=torch.channels_last)

    def members(self, recipe: Recipe) -> list[Member]:
        """Return the finished stages that are tested together."""
        members = []
        for stage in recipe.members:
            made = self._made[stage.stage.name]
            if made.marker["outputs"] != self._samples.num_classes:
                raise PluginError(
                    f"stage {stage.stage.name!r} predicts {made.marker['outputs']} keywords, so it "
                    "cannot be tested; let a stage with head='new' start from it"
                )
            load = partial(self.finished_network, made)
            members.append(
                Member(protocols=recipe.protocols(stage), weights=made.weights(), network=load)
            )
        return members

    def _draws(self, recipe: StageRecipe, stream: int) -> np.random.Generator:
        return generator(self._spec.seed, recipe.depth, recipe.stage.draw, stream)

    def samples(self, recipe: StageRecipe) -> Samples:
        """Return the samples of a stage after its noise tricks, worked out once and kept."""
        folder = stage_folder(self._spec.home, recipe.key)
        self._work_out(recipe, folder)
        return load_samples(folder.path / "samples.npz", self._samples)

    def _work_out(self, recipe: StageRecipe, folder: StageFolder) -> None:
        if self._from_first(partial(folder.whole, SAMPLES)) is not None:
            return
        seen = {stage.name: self._sight(self._made[stage.name]) for stage in recipe.stage.sees}
        if self._ranks.first:
            encode = partial(self._encode, recipe)
            samples = self._samples.assign(seen=seen, encode_texts=encode)
            save_samples(folder.path / "samples.npz", apply(recipe.noise, samples))
        self._ranks.barrier()

    def _encode(
        self, recipe: StageRecipe, encoder: str, texts: Sequence[str]
    ) -> NDArray[np.float32]:
        """Encode texts for a stage's noise tricks, by the encoders that are part of its key."""
        if encoder not in encoders_of(tricks_of(recipe.noise)):
            raise PluginError(
                f"stage {recipe.stage.name!r}: a noise trick encodes texts with {encoder!r}, but "
                f"none says so; give the trick a field or an attribute encoder = {encoder!r}"
            )
        return self._hooks.encode_texts(self._spec, encoder, texts)

    def _train(self, recipe: StageRecipe, folder: StageFolder) -> dict[str, Any]:
        spec, stage, ranks = self._spec, recipe.stage, self._ranks
        samples = self.samples(recipe)
        start = self._made[stage.start.name].weights()["last"] if stage.start else None
        module = self.network(recipe, start, samples.num_outputs, begins=True)
        teachers = [self._teacher(teacher.name) for teacher in stage.teachers]
        engine = make_engine(spec.engine, module, stage, ranks, dict(spec.deepspeed))
        val = None if samples.target_names else self._val
        evaluate = epoch_scorer(val, plain_view(stage), ranks, spec.loader_threads)
        job = Job(
            recipe=recipe,
            samples=samples,
            seed=int(self._draws(recipe, 1).integers(1 << 62)),
            threads=spec.loader_threads,
            folder=folder.path,
            evaluate=evaluate,
            report=self._report,
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
        return self._from_first(lambda: _finish(folder, stage, marker, engine.module))

    def _teacher(self, stage: str) -> nn.Module:
        made = self._made[stage]
        if made.marker["outputs"] != self._samples.num_classes:
            raise PluginError(f"stage {stage!r} predicts keywords, so it cannot teach classes")
        return self.finished_network(made, made.weights()["last"]).eval()

    def _sight(self, made: FinishedStage) -> StageOutputs:
        """Return what a finished stage says of every training sample, looked at once and kept."""
        with self._alone(made.folder):
            if not self._from_first(lambda: _has_sight(made)):
                self._look(made)
        sight = load_outputs(made.folder.path)
        if sight is None:
            raise TrainingError(f"{made.folder.path} lost its features; start the command again")
        return sight

    def _look(self, made: FinishedStage) -> None:
        module = self.finished_network(made, made.weights()["last"])
        (view,) = plain_view(made.recipe.stage)
        pictures = Pictures(self._samples, self._report)
        seen = extract_features(module, pictures, view, self._ranks, self._spec.loader_threads)
        about = {"weights": made.marker["files"]["weights.pt"]}
        save_outputs(made.folder.path, seen, self._samples, self._ranks, about)
        pictures.learn(self._ranks.union(pictures.broken))

    @contextmanager
    def _alone(self, folder: StageFolder) -> Iterator[None]:
        """Keep other runs from the stage, and sweep up what a killed one was writing."""
        with folder.locked() if self._ranks.first else nullcontext():
            if self._ranks.first:
                drop_unfinished(folder.path)
            yield

    def _report(self, line: str) -> None:
        """Say it once; every stage meets the same broken pictures."""
        if line not in self._told:
            self._told.add(line)
            note(line)


def _finish(
    folder: StageFolder, stage: Stage, marker: dict[str, Any], module: nn.Module
) -> dict[str, Any]:
    """Write the last weights, then the marker; return all that it says."""
    save_tensors(folder.path / "weights.pt", module.state_dict())
    has_best = 0 < marker["best_epoch"] < stage.epochs
    samples = check_marker(folder.path / SAMPLES) or {"files": {}}
    marker = {**marker, "samples": samples["files"]}
    done = folder.finish(marker, ("weights.pt", "best.pt") if has_best else ("weights.pt",))
    drop_checkpoints(folder.path)
    return done


def _has_sight(made: FinishedStage) -> bool:
    """Say whether the features are whole, and those of the very weights that are there."""
    sight = made.folder.whole(SIGHT)
    if sight is None:
        return False
    if sight["weights"] != made.marker["files"]["weights.pt"]:
        made.folder.set_aside(f"{made.folder.path / 'features.npy'} is of other weights", SIGHT)
        return False
    return True


def _load(module: nn.Module, weights: dict[str, Any], recipe: StageRecipe, *, begins: bool) -> None:
    if begins and recipe.stage.head == "new":
        own = module.state_dict()
        head = module.get_classifier()  # type: ignore[operator]
        prefix = next(name for name, part in module.named_modules() if part is head)
        weights = {k: own[k] if k.startswith(f"{prefix}.") else v for k, v in weights.items()}
    stage = recipe.stage.name
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise TrainingError(
            f"stage {stage!r} cannot start from weights of another network: {reason}"
        ) from error
