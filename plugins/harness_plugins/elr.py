"""ELR and ELR+ (NeurIPS 2020): early-learning regularisation, do not memorise labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat

from harness import AsBaseline, Ema, Plan, assumed, hookimpl, published
from harness.tricks.batch.ask_averaged import AskAveraged
from harness.tricks.batch.mixup import MixUp
from harness.tricks.loss.early_learning import EarlyLearning

CONFIG = "shengliu66/ELR, ELR_plus/config_webvision.json"


@dataclass(frozen=True, kw_only=True)
class Elr(AsBaseline):
    """Keep each prediction close to the running mean of the sample's earlier ones.

    ``plus`` is ELR+: two networks, tested together; the running means are of what the averaged
    weights of the other network say; mixup of pictures, labels and means. It trains two networks
    and asks a third one in each step, about three times the cost.

    **Source:** S. Liu et al., NeurIPS 2020 (arXiv 2007.00151). Differences: each network's average
    answers in evaluation mode, not in training mode; both networks get the same batches; mixup's
    share is not kept above one half. Its recipe for mini-WebVision is Inception-ResNet-v2, rate
    0.02 with a tenth after half, decay 5e-4, batches of 32, 100 epochs. Assumed: all of that as in
    baseline.
    """

    plus: bool = assumed(False, "ELR alone shows what its penalty does")  # noqa: FBT003
    momentum: Annotated[float, Field(ge=0, lt=1)] = published(0.7, CONFIG + ": beta")
    strength: NonNegativeFloat = published(3.0, CONFIG + ": lambda")
    mixup_alpha: PositiveFloat = published(1.5, CONFIG + ", of ELR+")
    decay: Annotated[float, Field(gt=0, lt=1)] = published(0.997, CONFIG + ": ema_alpha, of ELR+")

    @hookimpl
    def plan(self) -> Plan:
        regularise = EarlyLearning(momentum=self.momentum, strength=self.strength)
        train = self.stage_with(
            networks=2 if self.plus else 1,
            average=Ema(decay=self.decay) if self.plus else None,
            batch=(AskAveraged(peer=1), MixUp(alpha=self.mixup_alpha)) if self.plus else (),
            loss=(regularise,),
        )
        return self.plan_of(train)
