"""Meta-Weight-Net: a small network learns, from clean pictures, which losses should count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.samples import Samples
from harness.values import Batch, Loss, State

if TYPE_CHECKING:
    from torch import Tensor

BETAS, EPSILON = (0.9, 0.999), 1e-8  # Adam's, as torch has them


@dataclass(frozen=True, kw_only=True)
class MetaWeights:
    """Multiply every loss by V(its cross-entropy), a perceptron that clean pictures train.

    V(l) = sigmoid(w2 . relu(w1 l + b1) + b2), with ``hidden`` values between, is shared state.
    After each step it takes a step of Adam, of rate ``lr`` and with ``weight_decay``, down the
    gradient of ``meta_loss``: the cross-entropy of the clean pictures if the network had taken a
    step of rate ``step`` on the weighted batch. One step, and in the last layer only: there the
    gradients are products of errors and features, so no second network and no second derivative are
    needed.

    The stage has ``WithFeatures``, ``AskClean`` and ``clean`` above 0. What differs from the paper:
    the virtual step moves the last layer only; a step's weights are those of V before it was
    trained on that step; clean pictures are seen in evaluation mode.

    **Source:** J. Shu et al., "Meta-Weight-Net: Learning an Explicit Mapping For Sample Weighting",
    NeurIPS 2019, equations 2 to 7 and algorithm 1; the sizes as in xjtushujun/meta-weight-net,
    MW-Net.py.
    """

    hidden: PositiveInt = 100
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-4
    step: PositiveFloat = 0.1

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def state(self, samples: Samples) -> Mapping[str, State]:  # noqa: ARG002 - as all tricks
        """Return the perceptron's 3 H + 1 values in a row, drawn as torch's layers, and Adam's."""
        import torch

        random = torch.Generator().manual_seed(0)
        first = 2 * torch.rand(2 * self.hidden, generator=random) - 1
        second = (2 * torch.rand(self.hidden + 1, generator=random) - 1) / self.hidden**0.5
        drawn = torch.cat([first, second])
        nothing = torch.zeros_like(drawn)
        kept = {"meta": drawn, "meta_mean": nothing, "meta_square": nothing}
        kept["meta_steps"] = torch.zeros(())
        return {name: State(initial=tensor, per_sample=False) for name, tensor in kept.items()}

    def update(self, outputs: Mapping[str, Tensor], batch: Batch) -> Mapping[str, Tensor]:
        """Return the perceptron after a step of Adam."""
        import torch

        assert batch.clean is not None  # the loss has checked it
        with torch.enable_grad():
            meta = batch.shared["meta"].detach().clone().requires_grad_()
            value = meta_loss(
                meta, outputs["logits"], outputs["features"], batch, batch.clean, self.step
            )
            (slope,) = torch.autograd.grad(value, meta)
        slope = slope + self.weight_decay * batch.shared["meta"]
        mean = torch.lerp(slope, batch.shared["meta_mean"], BETAS[0])
        square = torch.lerp(slope.square(), batch.shared["meta_square"], BETAS[1])
        steps = batch.shared["meta_steps"] + 1
        away = (mean / (1 - BETAS[0] ** steps)) / (
            (square / (1 - BETAS[1] ** steps)).sqrt() + EPSILON
        )
        return {
            "meta": batch.shared["meta"] - self.lr * away,
            "meta_mean": mean,
            "meta_square": square,
            "meta_steps": steps,
        }

    def __call__(self, loss: Loss) -> Loss:
        """Return the weighted loss; it raises PluginError if something to learn from is missing."""

        def weighted(logits: Tensor, batch: Batch) -> Tensor:
            if "features" not in batch.outputs:
                raise PluginError(
                    "MetaWeights needs the network's features; add WithFeatures() to the stage's "
                    "model tricks"
                )
            if batch.clean is None or "features" not in batch.clean.extra:
                raise PluginError(
                    "MetaWeights needs what the network says of clean pictures; add AskClean() to "
                    "the stage's batch tricks"
                )
            weight = weight_of(_cross_entropy(logits.detach(), batch.targets), batch.shared["meta"])
            return loss(logits, batch) * weight

        return weighted


def weight_of(losses: Tensor, meta: Tensor) -> Tensor:
    """Return V of the losses ``(B,)``: weights in (0, 1); ``meta`` is w1, b1, w2 and b2 in a row.

    **Source:** see ``MetaWeights``.
    """
    hidden = len(meta) // 3
    first, offset, second, bias = meta.tensor_split((hidden, 2 * hidden, 3 * hidden))
    weight: Tensor = ((losses[:, None] * first + offset).relu() @ second + bias).sigmoid()
    return weight


def meta_loss(
    meta: Tensor, logits: Tensor, features: Tensor, batch: Batch, clean: Batch, step: float
) -> Tensor:
    """Return the clean pictures' mean cross-entropy after a virtual step of the last layer.

    The gradient of the cross-entropy of sample j by the last layer's weights is e_j h_j, by its
    bias e_j, with e_j = p_j sum(t_j) - t_j and features h_j. So after a step of rate a on the mean
    of the losses, each times V_j and its sample's weight w_j, the logits of clean picture i are z_i
    - a / B sum_j w_j V_j e_j (h_j . h_i + 1). ``logits`` ``(B, K)`` and ``features`` ``(B, D)`` are
    the batch's; ``clean`` brings its own in ``extra``.

    **Source:** see ``MetaWeights``, equations 3 and 4, for a network that ends in a linear layer.
    """
    factor = batch.weights * weight_of(_cross_entropy(logits, batch.targets), meta)
    error = logits.softmax(dim=1) * batch.targets.sum(dim=1, keepdim=True) - batch.targets
    alike = clean.extra["features"] @ features.T + 1
    moved = clean.extra["logits"] - step / len(logits) * ((alike * factor) @ error)
    return _cross_entropy(moved, clean.targets).mean()


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    losses: Tensor = -(targets * logits.log_softmax(dim=1)).sum(dim=1)
    return losses
