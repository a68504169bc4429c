"""Which samples of a batch count, in losses that learn from some of them only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def forget_rate(progress: float, final: float, warmup: float) -> float:
    """Return the share of samples to leave out: from 0 to ``final``, linear over ``warmup``.

    ``progress`` and ``warmup`` are shares of the stage; without a warm-up it is ``final``.

    **Source:** B. Han et al., "Co-teaching", NeurIPS 2018, algorithm 1: R(T) = 1 - min(T / T_k tau,
    tau) after epoch T. Here it falls with every step, as a shrunk recipe may have fewer epochs
    than T_k.
    """
    return final * min(progress / warmup, 1.0) if warmup else final


def smallest(losses: Tensor, rate: float) -> Tensor:
    """Return which of B losses ``(B,)`` are not among the ``rate`` of them that are largest.

    There are ``int((1 - rate) B)``, at least 1, as ``(B,)`` of bools.

    **Source:** as ``forget_rate``.
    """
    count = max(1, int((1 - rate) * len(losses)))
    kept = losses.new_zeros(len(losses))
    return kept.index_fill_(0, losses.argsort(stable=True)[:count], 1.0).bool()


def mean_of(chosen: Tensor) -> Tensor:
    """Return factors ``(B,)`` with which the mean of a batch is the mean of those ``chosen``.

    They are B over the number of the chosen, and 0 for others; all 0 if none is chosen.

    **Source:** our choice: the loop divides by the size of the batch.
    """
    share = chosen.float()
    factors: Tensor = share * (len(share) / share.sum().clamp(min=1.0))
    return factors
