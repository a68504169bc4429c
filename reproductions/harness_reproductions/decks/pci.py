"""PCI, WebVision 2020: what training strategies, class weights and image weights are worth."""

from __future__ import annotations

from functools import partial

from harness_plugins.pci import Pci
from harness_reproductions.decks.claims import Claim
from harness_reproductions.decks.rows import Row, Table, percent, top5

ONE = "PCI deck, 'Experiment Results 1/2'"
TWO = "PCI deck, 'Experiment Results 2/2'"
LETTERS = "the deck does not say what A, B1, B2 and C are: read from the order of its techniques"

r101 = partial(Row, source=ONE + ", ResNet 101")
r152 = partial(Row, source=ONE + ", ResNet 152")
rx101 = partial(Row, source=TWO + ", ResNext 101")
rs101 = partial(Row, source=TWO + ", ResNest 101")

RESNET101 = Table(
    name="pci/resnet101",
    title="ResNet 101",
    edition="webvision2",
    doubt=LETTERS,
    rows=(
        r101(name="A", recipe=Pci(row="A"), published=percent(51.78, 74.76)),
        r101(name="B1", recipe=Pci(row="B1"), published=percent(55.52, 77.78)),
        r101(name="B2", recipe=Pci(row="B2"), published=percent(55.87, 78.13)),
        r101(
            name="C",
            recipe=Pci(row="C"),
            published=percent(54.74, 78.69),
            doubt="top-1 falls where all other numbers rise: a misprint, of 56.74 perhaps",
        ),
    ),
)
RESNET152 = Table(
    name="pci/resnet152",
    title="ResNet 152",
    edition="webvision2",
    doubt=LETTERS,
    rows=(
        r152(
            name="B1", recipe=Pci(row="B1", backbone="resnet152"), published=percent(55.84, 78.01)
        ),
        r152(
            name="B2", recipe=Pci(row="B2", backbone="resnet152"), published=percent(56.16, 78.36)
        ),
        r152(name="C", recipe=Pci(row="C", backbone="resnet152"), published=percent(56.77, 78.83)),
    ),
)
RESNEXT101 = Table(
    name="pci/resnext101",
    title="ResNext 101",
    edition="webvision2",
    doubt=LETTERS + "; the cardinality of the ResNeXt is not stated",
    rows=(
        rx101(
            name="B1",
            recipe=Pci(row="B1", backbone="resnext101_32x4d"),
            published=percent(55.63, 77.91),
        ),
        rx101(
            name="C",
            recipe=Pci(row="C", backbone="resnext101_32x4d"),
            published=percent(56.58, 78.63),
        ),
    ),
)
RESNEST101 = Table(
    name="pci/resnest101",
    title="ResNest 101",
    edition="webvision2",
    doubt=LETTERS,
    rows=(
        rs101(
            name="B1", recipe=Pci(row="B1", backbone="resnest101e"), published=percent(56.36, 78.53)
        ),
        rs101(
            name="C", recipe=Pci(row="C", backbone="resnest101e"), published=percent(57.23, 79.23)
        ),
    ),
)
FINAL = Table(
    name="pci/final",
    title="Final result",
    edition="webvision2",
    split="test",
    protocol="challenge entry",
    rows=(
        Row(
            name="multi-model ensemble, multi-scale, multi-crop",
            recipe=Pci(row="C", ensemble="four_networks"),
            published=top5(79.88),
            source=TWO,
            doubt="which models, scales and crops is not stated",
        ),
    ),
)
TABLES = (RESNET101, RESNET152, RESNEXT101, RESNEST101, FINAL)

A, B1, B2, C = RESNET101.rows
PLAINLY = "beats plain ResNet-101"
RETRAINED = "by a trained model's image weights"
first = partial(Claim, source=ONE)
second = partial(Claim, source=TWO)
CLAIMS = (
    first(text="Training strategies beat plain training", better=B1, worse=A, published=3.02),
    first(
        text=f"With training strategies ResNet-152 {PLAINLY}",
        better=RESNET152["B1"],
        worse=A,
        published=3.25,
    ),
    second(
        text=f"Training strategies: ResNeXt-101 {PLAINLY}",
        better=RESNEXT101["B1"],
        worse=A,
        published=3.15,
    ),
    second(
        text=f"Training strategies: ResNeSt-101 {PLAINLY}",
        better=RESNEST101["B1"],
        worse=A,
        published=3.77,
    ),
    first(text="Reweighting classes helps ResNet-101", better=B2, worse=B1, published=0.35),
    first(
        text="Reweighting classes helps ResNet-152",
        better=RESNET152["B2"],
        worse=RESNET152["B1"],
        published=0.35,
    ),
    first(text=f"ResNet-101 gains {RETRAINED}", better=C, worse=B2, published=0.56),
    first(
        text=f"ResNet-152 gains {RETRAINED}",
        better=RESNET152["C"],
        worse=RESNET152["B2"],
        published=0.47,
    ),
    second(
        text=f"ResNeXt-101 gains {RETRAINED}, classes reweighted",
        better=RESNEXT101["C"],
        worse=RESNEXT101["B1"],
        published=0.72,
    ),
    second(
        text=f"ResNeSt-101 gains {RETRAINED}, classes reweighted",
        better=RESNEST101["C"],
        worse=RESNEST101["B1"],
        published=0.70,
    ),
    first(
        text="Training strategies beat plain training",
        better=B1,
        worse=A,
        metric="top1",
        published=3.74,
    ),
    first(text="Reweighting classes helps", better=B2, worse=B1, metric="top1", published=0.35),
    first(
        text=f"ResNet-101's top-1 suffers {RETRAINED}",
        better=B2,
        worse=C,
        metric="top1",
        published=1.13,
        kind="hurts",
        doubt=C.doubt,
    ),
    first(
        text=f"ResNet-152 gains {RETRAINED}",
        better=RESNET152["C"],
        worse=RESNET152["B2"],
        metric="top1",
        published=0.61,
    ),
    first(text="ResNet-152 beats ResNet-101", better=RESNET152["C"], worse=C, published=0.14),
    second(
        text="ResNeSt-101 beats ResNet-152, the next best",
        better=RESNEST101["C"],
        worse=RESNET152["C"],
        published=0.40,
    ),
    second(
        text="Several networks on several scales and crops beat the best network",
        better=FINAL.rows[0],
        worse=RESNEST101["C"],
        doubt="79.88 is of the test set, 79.23 of val: the size is not comparable",
    ),
)
