"""WeChat AI, WebVision 2020: pre-training on weak tags, and further tricks.

The conclusion's "faster convergence" is not a claim here: it has no number and no curve.
"""

from __future__ import annotations

from functools import partial

from harness_plugins.wechat import WeChat
from harness_reproductions.decks.claims import Claim
from harness_reproductions.decks.rows import Row, Table, percent

EXPERIMENTS = "WeChat deck, 'Experiments'"
TRICKS = "WeChat deck, 'Tricks to boost performance'"

effect = partial(Row, source=EXPERIMENTS + ", Effectiveness of our pretraining")
backbone = partial(Row, source=EXPERIMENTS + ", Different backbones")
trick = partial(Row, source=TRICKS)

PRETRAINING = Table(
    name="wechat/pretraining",
    title="Effectiveness of our pretraining: ResNeSt-101",
    label="ResNeSt-101, {}",
    team="WeChat AI",
    edition="webvision2",
    rows=(
        effect(name="w/o", recipe=WeChat(pretrain="none"), printed=percent("52.0", "76.1")),
        effect(name="LW-Set", recipe=WeChat(pretrain="LW"), printed=percent("53.4", "76.8")),
        effect(name="WT-Set", recipe=WeChat(pretrain="WT"), printed=percent("55.5", "77.8")),
    ),
)
BACKBONES = Table(
    name="wechat/backbones",
    title="Different backbones: pre-trained on the WT-Set",
    label="{}, WT-Set",
    team="WeChat AI",
    edition="webvision2",
    rows=(
        backbone(
            name="ResNeXt-101",
            recipe=WeChat(backbone="resnext101_32x4d"),
            printed=percent("55.0", "78.1"),
            doubt="its cardinality is not stated",
        ),
        backbone(
            name="EfficientNet-B4",
            recipe=WeChat(backbone="efficientnet_b4"),
            printed=percent("54.4", "77.0"),
            doubt="its input size is not stated",
        ),
        backbone(
            name="ResNeSt-200",
            recipe=WeChat(backbone="resnest200e"),
            printed=percent("56.1", "78.7"),
        ),
    ),
)
BOOSTS = Table(
    name="wechat/tricks",
    title="Tricks to boost performance",
    team="WeChat AI",
    edition="webvision2",
    rows=(
        trick(name="none of them", recipe=WeChat()),
        trick(name="Large-resolution finetuning", recipe=WeChat(large_resolution="on")),
        trick(name="without class-balanced sampling", recipe=WeChat(sampling="uniform")),
        trick(name="Pseudo labeling", recipe=WeChat(pseudo_labels="on")),
        trick(name="Multi-model ensembling", recipe=WeChat(ensemble="on")),
    ),
)
TABLES = (PRETRAINING, BACKBONES, BOOSTS)

NONE, LW, WT = PRETRAINING.rows
RX101, B4, RS200 = BACKBONES.rows
PLAIN, LARGE, UNIFORM, PSEUDO, SEVERAL = BOOSTS.rows
top1 = partial(Claim, metric="top1", source=EXPERIMENTS)
top5 = partial(Claim, metric="top5", source=EXPERIMENTS)
claim = partial(Claim, source=TRICKS)

CLAIMS = (
    top1(text="Pre-training on weak tags beats none", better=WT, worse=NONE),
    top5(text="Pre-training on weak tags beats none", better=WT, worse=NONE),
    top1(text="Pre-training on weighted labels beats none", better=LW, worse=NONE),
    top5(text="Pre-training on weighted labels beats none", better=LW, worse=NONE),
    top1(text="Weak tags beat weighted labels", better=WT, worse=LW),
    top5(text="Weak tags beat weighted labels", better=WT, worse=LW),
    top1(text="ResNeSt-200 beats ResNeSt-101", better=RS200, worse=WT),
    top5(text="ResNeSt-200 beats ResNeSt-101", better=RS200, worse=WT),
    top1(text="ResNeSt-101 beats ResNeXt-101", better=WT, worse=RX101),
    top5(text="ResNeXt-101 beats ResNeSt-101", better=RX101, worse=WT),
    top1(text="ResNeSt-101 beats EfficientNet-B4", better=WT, worse=B4),
    top5(text="ResNeSt-101 beats EfficientNet-B4", better=WT, worse=B4),
    claim(text="Large-resolution fine-tuning boosts performance", better=LARGE, worse=PLAIN),
    claim(
        text="Class-balanced sampling is important for the long tail",
        better=PLAIN,
        worse=UNIFORM,
        doubt="tested by the accuracy over all classes",
    ),
    claim(text="Pseudo labels of the best models boost performance", better=PSEUDO, worse=PLAIN),
    claim(
        text="Models of several pre-trainings and backbones boost performance together",
        better=SEVERAL,
        worse=PLAIN,
    ),
)
