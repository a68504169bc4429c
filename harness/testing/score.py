"""Score trained weights on val and test, and save the predictions for every image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from harness.data.pictures.loader import Pictures
from harness.errors import HarnessError, unknown
from harness.samples import Samples
from harness.scores import Epoch
from harness.store.files import atomic_write
from harness.store.record import Score
from harness.testing.ensemble import Ensemble
from harness.testing.metrics import Top, accuracy, top_classes
from harness.testing.predict import Probabilities, predict
from harness.testing.predictions import KEPT_CLASSES, StoredPredictions
from harness.training.ranks import Ranks
from harness.values import Combine, Views


def epoch_scorer(
    val: Samples | None, views: Views, ranks: Ranks, threads: int
) -> Callable[[nn.Module], dict[str, float]]:
    """Return the function that scores a network on val after each epoch, under one centre view."""
    pictures = _pictures(val) if val is not None else None

    def score(module: nn.Module) -> dict[str, float]:
        if pictures is None:
            return {}
        samples = pictures.samples
        top = _predicted(module, pictures, {"": views}, ranks, threads)[""]
        return {
            f"val_top{k}": accuracy(top.classes, samples.label, samples.num_classes, k).flat
            for k in (1, 5)
        }

    return score


@dataclass(frozen=True, kw_only=True)
class Member:
    """One network of an ensemble: its views by protocol, its weights by epoch."""

    protocols: Mapping[str, Views]
    weights: Mapping[Epoch, Path]
    network: Callable[[Path], nn.Module]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores every labelled split under every protocol; saves predictions in ``folder``."""

    tested: Sequence[Samples]
    members: Sequence[Member]
    combine: Combine
    ranks: Ranks
    threads: int
    folder: Path

    def scores(self) -> list[Score]:
        """Score each epoch's weights; the same files under two names are scored once."""
        by_files: dict[tuple[Path, ...], list[Score]] = {}
        found: list[Score] = []
        for epoch in self.members[0].weights:
            if not all(epoch in member.weights for member in self.members):
                continue
            files = tuple(member.weights[epoch] for member in self.members)
            if files not in by_files:
                by_files[files] = self._scores(files, epoch)
            found += [score.model_copy(update={"epoch": epoch}) for score in by_files[files]]
        return found

    def predictions(self, samples: Samples, protocol: str, epoch: Epoch) -> StoredPredictions:
        """Predict the pictures of a split under one protocol; no label of it is read.

        Raises HarnessError if a network has no such weights or views, or if the combination of
        several is learned and there is no labelled val.
        """
        chosen = []
        for member in self.members:
            if epoch not in member.weights:
                raise HarnessError(unknown("epoch", epoch, member.weights, listing="kept"))
            if protocol not in member.protocols:
                raise HarnessError(
                    unknown("protocol", protocol, member.protocols, listing="of the method")
                )
            only = {protocol: member.protocols[protocol]}
            chosen.append(replace(member, protocols=only))
        narrow = replace(self, members=chosen)
        files, ensemble = [member.weights[epoch] for member in chosen], Ensemble(self.combine)
        alone = narrow._alone(files)
        for split in self.tested:  # learned weights are learned on val
            if self.combine == "learned" and len(chosen) > 1 and split.split == "val":
                narrow._tops(files, split, ensemble, alone)
        top = narrow._tops(files, samples, ensemble, alone)[protocol]
        return StoredPredictions(np.asarray(samples.files), samples.label, top.classes)

    def _scores(self, files: Sequence[Path], epoch: Epoch) -> list[Score]:
        ensemble, alone = Ensemble(self.combine), self._alone(files)
        scores = []
        for samples in self.tested:
            for protocol, top in self._tops(files, samples, ensemble, alone).items():
                path = self.folder / f"{samples.split}-{protocol.replace(' ', '-')}-{epoch}.npz"
                sha256 = self.ranks.decided(partial(save_predictions, path, samples, top))
                scores.append(score_of(samples, top, protocol, "last", sha256))
        return scores

    def _alone(self, files: Sequence[Path]) -> nn.Module | None:
        """Return the only network; None of several, one of which at a time is in memory."""
        first, *others = self.members
        return None if others else self.ranks.together(lambda: first.network(files[0]))

    def _tops(
        self,
        files: Sequence[Path],
        samples: Samples,
        ensemble: Ensemble,
        alone: nn.Module | None,
    ) -> dict[str, Top]:
        """Return the likeliest classes of every image by protocol, in every rank."""
        protocols = self.members[0].protocols
        if alone is not None:
            return _predicted(alone, _pictures(samples), protocols, self.ranks, self.threads)
        answers = self.ranks.together(
            lambda: [
                self._answers(member, file, samples)
                for member, file in zip(self.members, files, strict=True)
            ]
        )
        tops = {}
        for protocol, *parts in zip(protocols, *answers, strict=True):
            join = partial(self._joined, samples, protocol, ensemble)
            if self.combine == "learned":  # from all images: rank 0 alone holds them
                everyone = [cast("list[Probabilities]", self.ranks.collect(part)) for part in parts]
                tops[protocol] = self.ranks.decided(partial(join, everyone))
            else:
                tops[protocol] = _of_all(self.ranks, [join([[part] for part in parts])])
        return tops

    @staticmethod
    def _joined(
        samples: Samples,
        protocol: str,
        ensemble: Ensemble,
        members: Sequence[Sequence[Probabilities]],
    ) -> Top:
        """Return the likeliest classes of the images that the members' parts are of."""
        whole = [np.concatenate(parts) for parts in members]
        return top_classes(ensemble.join(samples, protocol, whole), KEPT_CLASSES)

    def _answers(self, member: Member, file: Path, samples: Samples) -> list[Probabilities]:
        """Return one network's probabilities of this rank's images, one matrix per protocol."""
        module, protocols = member.network(file), member.protocols
        none = np.empty((0, samples.num_classes), np.float32)
        parts: dict[str, list[Probabilities]] = {name: [none] for name in protocols}
        for batch in predict(module, _pictures(samples), protocols, self.ranks, self.threads):
            for name, probabilities in batch.items():
                parts[name].append(probabilities)
        return [np.concatenate(part) for part in parts.values()]


def score_of(samples: Samples, top: Top, protocol: str, epoch: Epoch, sha256: str = "") -> Score:
    """Return the score of these predictions."""
    top1, top5 = (accuracy(top.classes, samples.label, samples.num_classes, k) for k in (1, 5))
    return Score(
        split=samples.split,
        protocol=protocol,
        epoch=epoch,
        images=len(samples),
        top1=top1.flat,
        top5=top5.flat,
        top1_class_mean=top1.class_mean,
        top5_class_mean=top5.class_mean,
        per_class_top1=_without_nan(top1.per_class),
        per_class_top5=_without_nan(top5.per_class),
        predictions_sha256=sha256,
    )


def save_predictions(path: Path, samples: Samples, top: Top) -> str:
    """Write file names, labels, likeliest classes and probabilities; return the file's sha256."""
    atomic_write(
        path,
        lambda file: np.savez_compressed(
            file,
            files=np.asarray(samples.files),
            labels=samples.label,
            classes=top.classes,
            probabilities=top.probabilities.astype(np.float16),
        ),
    )
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _predicted(
    module: nn.Module,
    pictures: Pictures,
    protocols: Mapping[str, Views],
    ranks: Ranks,
    threads: int,
) -> dict[str, Top]:
    """Return a network's likeliest classes of every image by protocol, in every rank.

    No rank holds more than a batch of the other classes' probabilities. An error of one rank, such
    as a broken image, is raised in all.
    """

    def own() -> dict[str, list[Top]]:
        tops: dict[str, list[Top]] = {name: [] for name in protocols}
        for batch in predict(module, pictures, protocols, ranks, threads):
            for name, probabilities in batch.items():
                tops[name].append(top_classes(probabilities, KEPT_CLASSES))
        return tops

    return {name: _of_all(ranks, part) for name, part in ranks.together(own).items()}


def _of_all(ranks: Ranks, own: Sequence[Top]) -> Top:
    parts = cast("list[list[Top]]", ranks.gather(list(own)))
    return Top(*map(np.concatenate, zip(*chain.from_iterable(parts), strict=True)))


def _pictures(samples: Samples) -> Pictures:
    # A broken image of val or test is an error, so nothing is reported.
    return Pictures(samples, report=lambda _: None)


def _without_nan(values: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else float(value) for value in values)
