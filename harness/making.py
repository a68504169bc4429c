"""Making one stage: reuse it, go on with it, or train it from the start."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from harness.data.loader import Pictures
from harness.data.samplers import generator
from harness.errors import TrainingError
from harness.preparation import Prepared
from harness.recipe import StageRecipe, plain_view
from harness.samples import Samples, Sight
from harness.sight import keep_samples, keep_sight, kept_samples, kept_sight
from harness.stages import StageFolder, stage_folder
from harness.testing.predict import see
from harness.testing.score import epoch_scorer
from harness.training.checkpoints import (
    drop_checkpoints,
    drop_unfinished,
    load_tensors,
    save_tensors,
)
from harness.training.deepspeed import micro_batch_size
from harness.training.engine import make_engine
from harness.training.loop import Job, train
from harness.training.ranks import Ranks
from harness.values import apply


@dataclass(frozen=True, kw_only=True)
class Made:
    """A finished stage: its recipe, its folder and what its marker says."""

    recipe: StageRecipe
    folder: StageFolder
    marker: dict[str, Any]

    def weights(self) -> dict[str, Path]:
        """The files of the last epoch's weights and, where val was scored, of the best one's."""
        files = {"last": self.folder.path / "weights.pt"}
        if 0 < self.marker["best_epoch"] < self.recipe.stage.epochs:
            files["best"] = self.folder.path / "best.pt"
        elif self.marker["best_epoch"]:
            files["best"] = files["last"]
        return files


class Maker:
    """Makes the stages of one run, parents first. Val is scored, but no trick ever sees it."""

    def __init__(self, prepared: Prepared, ranks: Ranks) -> None:
        self._spec, self._hooks, self._ranks = prepared.spec, prepared.hooks, ranks
        self._samples, self._val = prepared.samples, prepared.val
        self._made: dict[str, Made] = {}
        self._told: set[str] = set()

    def check(self, recipes: Sequence[StageRecipe]) -> None:
        """Raise HarnessError now where a later stage could not even begin."""
        backbones: set[str] = set()
        for recipe in recipes:
            micro_batch_size(recipe.stage, self._ranks.world_size)
            if recipe.stage.backbone not in backbones:
                backbones.add(recipe.stage.backbone)
                self.network(recipe, None, new_head=False)

    def make(self, recipe: StageRecipe) -> Made:
        """Return the finished stage; nothing is trained where it was finished before."""
        folder = stage_folder(self._spec.home, recipe.key)
        with self._alone(folder):
            marker = cast("dict[str, Any] | None", self._ranks.from_first(folder.done()))
            cached = marker is not None
            marker = marker or self._train(recipe, folder)
        made = Made(recipe=recipe, folder=folder, marker=marker)
        self._made[recipe.stage.name] = made
        speed = {"cached": float(cached), "images_per_second": marker["images_per_second"]}
        self._hooks.on_stage_end(recipe.stage, speed)
        return made

    def network(self, recipe: StageRecipe, weights: Path | None, *, new_head: bool) -> nn.Module:
        """Build a stage's network, freshly drawn by the run's seed or with the weights given."""
        torch.manual_seed(int(generator(self._spec.seed, recipe.depth).integers(1 << 62)))
        drawn = self._hooks.build_model(self._spec, recipe.stage, self._samples.num_classes)
        module: nn.Module = apply(recipe.model, drawn)
        if weights is not None:
            _load(module, load_tensors(weights), recipe.stage.name, new_head=new_head)
        return module

    def finished_network(self, recipe: StageRecipe) -> Callable[[Path], nn.Module]:
        """Return the function that loads a file of this stage's weights onto the device."""

        def load(weights: Path) -> nn.Module:
            module = self.network(recipe, weights, new_head=False).to(self._ranks.device)
            return module.to(memory_format=torch.channels_last)

        return load

    def samples(self, recipe: StageRecipe) -> Samples:
        """Return the samples of a stage after its noise tricks, worked out once and kept."""
        path = stage_folder(self._spec.home, recipe.key).path / "samples.npz"
        if not self._ranks.from_first(path.exists()):
            seen = {name: self._sight(self._made[name]) for name in recipe.stage.sees}
            if self._ranks.first:
                keep_samples(path, apply(recipe.noise, self._samples.assign(seen=seen)))
            self._ranks.barrier()
        return kept_samples(path, self._samples)

    def _train(self, recipe: StageRecipe, folder: StageFolder) -> dict[str, Any]:
        spec, stage, ranks = self._spec, recipe.stage, self._ranks
        samples = self.samples(recipe)
        start = self._made[stage.start].folder.path / "weights.pt" if stage.start else None
        module = self.network(recipe, start, new_head=stage.head == "new")
        engine = make_engine(spec.engine, module, stage, ranks, dict(spec.deepspeed))
        evaluate = epoch_scorer(self._val, plain_view(stage), ranks, spec.loader_threads)
        job = Job(
            recipe=recipe,
            samples=samples,
            seed=int(generator(spec.seed, recipe.depth, 1).integers(1 << 62)),
            threads=spec.loader_threads,
            folder=folder.path,
            evaluate=evaluate,
            report=self._report,
            checkpoint_seconds=spec.checkpoint_seconds,
        )
        position, meter = train(job, engine, ranks, self._hooks)
        marker = {
            "stage": stage.name,
            "history": position.history,
            "best_epoch": position.best_epoch,
            "broken_images": len(position.broken),
            "seconds": position.seconds,
            "images_per_second": meter.images_per_second,
            "devices": ranks.world_size,
        }
        if ranks.first:
            save_tensors(folder.path / "weights.pt", engine.module.state_dict())
            folder.finish(marker)
            drop_checkpoints(folder.path)
        ranks.barrier()
        return marker

    def _sight(self, made: Made) -> Sight:
        """Return what a finished stage says of every training sample, looked at once and kept."""
        with self._alone(made.folder):
            if not self._ranks.from_first(kept_sight(made.folder.path) is not None):
                self._look(made)
        sight = kept_sight(made.folder.path)
        if sight is None:
            raise TrainingError(f"{made.folder.path} lost its features; start the command again")
        return sight

    def _look(self, made: Made) -> None:
        module = self.finished_network(made.recipe)(made.weights()["last"])
        (view,) = plain_view(made.recipe.stage)
        pictures = Pictures(self._samples, self._report)
        seen = see(module, pictures, view, self._ranks, self._spec.loader_threads)
        keep_sight(made.folder.path, seen, self._samples, self._ranks)
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
            sys.stderr.write(f"{line}\n")


def _load(module: nn.Module, weights: dict[str, Any], stage: str, *, new_head: bool) -> None:
    if new_head:
        head = module.get_classifier()  # type: ignore[operator]
        prefix = next(name for name, part in module.named_modules() if part is head)
        own = module.state_dict()
        weights = {k: own[k] if k.startswith(f"{prefix}.") else v for k, v in weights.items()}
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise TrainingError(
            f"stage {stage!r} cannot start from weights of another network: {reason}"
        ) from error
