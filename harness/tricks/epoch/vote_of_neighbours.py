"""SSR's selection: confident predictions become labels, neighbours vote which labels are right."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.samples import Samples, Targets
from harness.tricks.noise.clustering.nearest import nearest

Floats = NDArray[np.float64]
BLOCK = 1_024  # samples whose neighbours are searched at a time


@dataclass(frozen=True, kw_only=True)
class VoteOfNeighbours:
    """Relabel confident samples; select, as subset 0, those whose label their neighbours share.

    A label becomes the most probable class if that has more than ``relabel_above``. Then the
    ``neighbours`` nearest samples by the cosine of their features, the sample itself among them,
    vote: each class gets the share of their labels over its share of all labels. A sample is
    selected if its label's votes are at least ``select_from`` times those of the best class; the
    others are subset 1, and their label counts as a target with weight 0. Each time the samples
    begin with the labels of the stage. Samples of subset -1 stay out and do not vote.

    Features and predictions are of the centre view. All pairs are compared, in blocks of bounded
    memory that ranks and cores divide, with N^2 D multiplications: measured, 1.5 minutes of a core
    for 66,000 samples of 512 features, from which follow 140 hours for 2.4 million of 2,048.

    **Source:** C. Feng, G. Tzimiropoulos, I. Patras, "SSR: An Efficient and Robust Framework for
    Learning with Unknown Label Noise", BMVC 2022, section 3; votes balanced by the classes' shares
    as in MrChenFeng/SSR_BMVC2022, utils/funcs.py.
    """

    relabel_above: Annotated[float, Field(ge=0, le=1)] = 0.95
    select_from: Annotated[float, Field(ge=0, le=1)] = 1.0
    neighbours: PositiveInt = 200

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, samples: Samples) -> Samples:
        """Return relabelled and selected samples; raises PluginError outside of an epoch's end."""
        if not samples.outputs:
            raise PluginError(
                "VoteOfNeighbours needs outputs between epochs; put it in Stage.epoch"
            )
        features, said = samples.outputs[0]
        sure = said.probabilities[:, 0] > self.relabel_above
        label = np.where(sure, said.classes[:, 0], samples.label).astype(np.int32)
        left = np.flatnonzero(samples.subset >= 0)
        shares = np.bincount(label[left], minlength=samples.num_classes) / len(left)
        blocks = [left[start : start + BLOCK] for start in range(0, len(left), BLOCK)]
        agree = partial(_agreement, features, label, shares, left, self.neighbours)
        chosen = np.zeros(len(samples), bool)
        chosen[left] = np.concatenate(samples.map(agree, blocks)) >= self.select_from
        subset = np.where(chosen, 0, 1)
        return samples.assign(
            label=label,
            subset=np.where(samples.subset >= 0, subset, -1).astype(np.int8),
            targets=Targets(label[:, None], chosen[:, None].astype(np.float32)),
        )


def _agreement(
    features_ND: NDArray[np.float32],
    label: NDArray[np.int32],
    shares: Floats,
    among: NDArray[np.int64],
    count: int,
    rows: NDArray[np.int64],
) -> Floats:
    around = nearest(features_ND, rows, among, min(count, len(among)))
    return agreement(label[around], label[rows], shares)


def agreement(neighbours: NDArray[np.int32], label: NDArray[np.int32], shares: Floats) -> Floats:
    """Return q_y / max_k q_k of every sample, ``(N,)``: 1 if no class has more votes than its own.

    ``neighbours`` ``(N, k)`` are the labels of the neighbours, ``label`` ``(N,)`` its own and
    ``shares`` ``(K,)`` those of the classes; q_k is the number of neighbours of class k over its
    share.

    **Source:** see ``VoteOfNeighbours``.
    """
    places = np.arange(len(label))
    cells = (places[:, None] * len(shares) + neighbours).ravel()
    votes = np.bincount(cells, minlength=len(label) * len(shares)).reshape(len(label), -1)
    balanced = votes / np.where(shares > 0, shares, 1)
    found: Floats = balanced[places, label] / balanced.max(axis=1)
    return found
