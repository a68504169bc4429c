"""Meta-Weight-Net (NeurIPS 2019): which losses count is learned from a small clean set."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from harness import AsBaseline, Plan, assumed, hookimpl, published
from harness.tricks.batch.ask_clean import AskClean
from harness.tricks.loss.meta_weights import MetaWeights

CODE = "xjtushujun/meta-weight-net, MW-Net.py: "


@dataclass(frozen=True, kw_only=True)
class MwNet(AsBaseline):
    """J. Shu et al., "Meta-Weight-Net", NeurIPS 2019: clean pictures teach how losses weigh.

    It needs a data set with a split "clean", as synthweb has one, and so has an advantage over
    methods without: the record's stage says ``clean``, and the board names it. The meta gradient is
    that of one virtual step of the last layer, in closed form: ``MetaWeights`` says what else
    differs. Optimiser, schedule and budget are baseline's; each step also asks the network about
    the clean pictures.
    """

    clean: PositiveInt = published(100, CODE + "batch_size of train_meta_loader")
    hidden: PositiveInt = published(100, CODE + "VNet(1, 100, 1)")
    meta_lr: PositiveFloat = published(1e-3, CODE + "Adam of vnet")
    meta_decay: NonNegativeFloat = published(1e-4, CODE + "weight_decay of vnet's Adam")
    step: PositiveFloat = published(0.1, CODE + "meta_lr is lr at first; here it stays")
    backbone: str = assumed("resnet50", "as in baseline; the paper has ResNet-32 at 32 pixels")
    batch_size: PositiveInt = assumed(256, "as in baseline; the paper has 100")

    @hookimpl
    def plan(self) -> Plan:
        from harness.tricks.model.with_features import WithFeatures  # imports torch

        weigh = MetaWeights(
            hidden=self.hidden, lr=self.meta_lr, weight_decay=self.meta_decay, step=self.step
        )
        train = self.stage_with(
            clean=self.clean,
            model=(WithFeatures(),),
            batch=(AskClean(),),
            loss=(weigh,),
        )
        return self.plan_of(train)
