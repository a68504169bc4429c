"""Loading what a run needs of its stages: networks, weights and the outputs that tricks use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from harness.assembly.prepare import Prepared
from harness.assembly.recipe import Recipe, StageRecipe, plain_view
from harness.data.pictures.loader import Pictures
from harness.errors import PluginError, TrainingError
from harness.samplers import generator
from harness.samples import StageOutputs
from harness.scores import Epoch
from harness.session.features import load_outputs, save_outputs
from harness.store.stages import OUTPUTS, StageFolder, weights_file
from harness.terminal import note
from harness.testing.predict import extract_features
from harness.testing.score import Member
from harness.training.batches import seed_draws
from harness.training.checkpoints import drop_unfinished, load_tensors
from harness.training.initial_weights import load_weights, read_weights
from harness.training.ranks import Ranks
from harness.values import apply, is_downloaded


@dataclass(frozen=True, kw_only=True)
class FinishedStage:
    """A finished stage: its recipe, its folder and the content of its marker."""

    recipe: StageRecipe
    folder: StageFolder
    marker: dict[str, Any]

    def weights(self, number: int = 0) -> dict[Epoch, Path]:
        """Return the files of one network's weights.

        Those of the last epoch; of the best, if val was scored and the stage has one network; the
        average, if the stage has one that is tested. A stage of one network begins all that start
        from it.
        """
        folder, stage = self.folder.path, self.recipe.stage
        number = min(number, stage.networks - 1)
        files: dict[Epoch, Path] = {"last": folder / weights_file("weights", number)}
        if 0 < self.marker["best_epoch"] < stage.epochs:
            files["best"] = folder / "best.pt"
        elif self.marker["best_epoch"]:
            files["best"] = files["last"]
        if stage.average is not None and getattr(stage.average, "tested", True):
            files["averaged"] = folder / weights_file("averaged", number)
        return files


class StageLoader:
    """Builds the networks of one run's stages and loads what finished stages have saved."""

    def __init__(self, prepared: Prepared, ranks: Ranks) -> None:
        self._prepared, self._ranks = prepared, ranks
        self._reported: set[str] = set()

    def network(
        self,
        recipe: StageRecipe,
        weights: Path | None,
        outputs: int,
        *,
        start: bool = False,
        number: int = 0,
    ) -> nn.Module:
        """Build a stage's network, initialised by the run's seed or with the weights of a file.

        Each ``number`` of a stage's networks has other initial weights. With ``start`` the weights
        are an earlier stage's: the network keeps its initialised head if the stage asks for a new
        one.
        """
        seeds = self.random(recipe, 0).integers(1 << 62, size=number + 1)
        seed_draws(int(seeds[number]))
        hooks, spec = self._prepared.hooks, self._prepared.spec
        begins = start and weights is None
        stage = recipe.stage if begins else replace(recipe.stage, weights=None)
        built = hooks.build_model(spec, stage, outputs)
        if stage.weights is not None and not is_downloaded(stage.weights):
            path = Path(stage.weights).expanduser()
            load_weights(built, read_weights(path), f"stage {stage.name!r}: weights={path}")
        module: nn.Module = apply(recipe.model, built)
        if weights is not None:
            _load(module, load_tensors(weights), recipe, new_head=start)
        return module

    def random(self, recipe: StageRecipe, stream: int) -> np.random.Generator:
        """Return a generator of the run's seed for one stage; each ``stream`` has other numbers."""
        return generator(self._prepared.spec.seed, recipe.depth, recipe.stage.draw, stream)

    def finished_network(self, finished: FinishedStage, weights: Path) -> nn.Module:
        """Load a file of a finished stage's weights onto the device."""
        module = self.network(finished.recipe, weights, finished.marker["outputs"])
        return module.to(self._ranks.device).to(memory_format=torch.channels_last)

    def members(self, recipe: Recipe, stages: Mapping[str, FinishedStage]) -> list[Member]:
        """Return the networks that are tested together, of these finished stages by name."""
        members = []
        for stage in recipe.members:
            finished = stages[stage.stage.name]
            if finished.marker["outputs"] != self._prepared.samples.num_classes:
                raise PluginError(
                    f"stage {stage.stage.name!r} predicts {finished.marker['outputs']} keywords, "
                    "so it cannot be tested; let a stage with head='new' start from it"
                )
            for number in range(stage.stage.networks):
                load = partial(self.finished_network, finished)
                protocols, weights = recipe.protocols(stage), finished.weights(number)
                members.append(Member(protocols=protocols, weights=weights, network=load))
        return members

    def teacher(self, finished: FinishedStage) -> nn.Module:
        """Return a finished stage's network in evaluation mode; PluginError if it cannot teach."""
        if finished.marker["outputs"] != self._prepared.samples.num_classes:
            stage = finished.recipe.stage.name
            raise PluginError(f"stage {stage!r} predicts keywords, so it cannot teach classes")
        return self.finished_network(finished, finished.weights()["last"]).eval()

    def outputs(self, finished: FinishedStage) -> StageOutputs:
        """Return a finished stage's outputs for every training sample, computed once and saved."""
        with self.locked(finished.folder):
            if not self._ranks.decided(lambda: _has_outputs(finished)):
                self._save_outputs(finished)
        outputs = load_outputs(finished.folder.path)
        if outputs is None:
            folder = finished.folder.path
            raise TrainingError(f"{folder} lost its features; start the command again")
        return outputs

    def _save_outputs(self, finished: FinishedStage) -> None:
        prepared, ranks = self._prepared, self._ranks
        module = self.finished_network(finished, finished.weights()["last"])
        (view,) = plain_view(finished.recipe.stage)
        pictures = Pictures(prepared.samples, self.report)
        batches = extract_features(module, pictures, view, ranks, prepared.spec.loader_threads)
        about = {"weights": finished.marker["files"]["weights.pt"]}
        save_outputs(finished.folder.path, batches, prepared.samples, ranks, about)
        pictures.learn(ranks.union(pictures.broken))

    @contextmanager
    def locked(self, folder: StageFolder) -> Iterator[None]:
        """Hold a stage's lock, and remove the unfinished files of a killed run."""
        with ExitStack() as held:

            def take() -> None:
                held.enter_context(folder.locked())
                drop_unfinished(folder.path)

            self._ranks.decided(take)
            yield

    def report(self, line: str) -> None:
        """Print a line once: every stage finds the same broken images."""
        if line not in self._reported:
            self._reported.add(line)
            note(line)


def _has_outputs(finished: FinishedStage) -> bool:
    """Return whether the outputs are whole and were computed from the weights in the folder."""
    outputs = finished.folder.whole(OUTPUTS)
    if outputs is None:
        return False
    if outputs["weights"] != finished.marker["files"]["weights.pt"]:
        features = finished.folder.path / "features.npy"
        finished.folder.set_aside(f"{features} was computed from other weights", OUTPUTS)
        return False
    return True


def _load(
    module: nn.Module, weights: dict[str, Any], recipe: StageRecipe, *, new_head: bool
) -> None:
    if new_head and recipe.stage.head == "new":
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
