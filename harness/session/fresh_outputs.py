"""What a stage's networks say of every training sample, between its epochs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch import nn

from harness.assembly.recipe import StageRecipe, plain_view
from harness.data.pictures.loader import Pictures
from harness.errors import PluginError, TrainingError
from harness.samples import Samples, StageOutputs
from harness.session.division import divide
from harness.session.features import load_outputs, save_outputs
from harness.testing.predict import extract_features
from harness.training.ranks import Ranks
from harness.values import apply


class FreshOutputs:
    """Computes the outputs that epoch tricks need, and lets them choose each network's samples.

    In evaluation mode, from the plain centre view, by all ranks. The features are memory-mapped
    from files of the stage's folder that are removed once the tricks have run.
    """

    def __init__(
        self, recipe: StageRecipe, samples: Samples, folder: Path, ranks: Ranks, threads: int
    ) -> None:
        if recipe.epoch and samples.target_names:
            raise PluginError(
                f"stage {recipe.stage.name!r} predicts keywords, so epoch tricks, which see "
                "predictions of the data set's classes, cannot choose its samples"
            )
        self._recipe, self._samples, self._folder = recipe, samples, folder / "fresh"
        self._ranks, self._threads = ranks, threads
        self._pictures = Pictures(samples, report=lambda _: None)  # training reports broken ones

    def choose(self, modules: Sequence[nn.Module], epoch: int) -> list[Samples]:
        """Return the samples that each network is trained on next, after ``epoch`` epochs."""
        self._ranks.decided(partial(shutil.rmtree, self._folder, ignore_errors=True))
        outputs = [self._outputs(module, number) for number, module in enumerate(modules)]
        chosen = []
        for number in range(len(modules)):
            own_first = (outputs[number], *outputs[:number], *outputs[number + 1 :])
            given = self._samples.assign(
                outputs=own_first, epoch=epoch, divide=partial(divide, self._ranks)
            )
            handled = apply(self._recipe.epoch, given)
            chosen.append(handled.assign(outputs=(), epoch=0, divide=self._samples.divide))
        del outputs, own_first, given
        self._ranks.barrier()  # every rank has read the files
        self._ranks.decided(partial(shutil.rmtree, self._folder, ignore_errors=True))
        return chosen

    def _outputs(self, module: nn.Module, number: int) -> StageOutputs:
        folder = self._folder / str(number)
        self._ranks.decided(partial(folder.mkdir, parents=True, exist_ok=True))
        (view,) = plain_view(self._recipe.stage)
        batches = extract_features(module, self._pictures, view, self._ranks, self._threads)
        save_outputs(folder, batches, self._samples, self._ranks)
        outputs = load_outputs(folder)
        if outputs is None:
            raise TrainingError(f"{folder} lost its features; start the command again")
        return outputs
