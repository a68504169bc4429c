"""PCI, WebVision 2020: training strategies, class weights and image weights."""

from __future__ import annotations

from functools import partial

from harness_plugins.pci import Pci
from harness_reproductions.decks.claims import Claim
from harness_reproductions.decks.rows import Row, Table, percent, top5

ONE = "PCI deck, 'Experiment Results 1/2'"
TWO = "PCI deck, 'Experiment Results 2/2'"
LETTERS = "the deck does not define A, B1, B2 and C: inferred from the order of its techniques"

r101 = partial(Row, source=ONE + ", ResNet 101")
deep = partial(Pci, backbone="resnet152")
resnest = partial(Pci, backbone="resnest101e")
resnext = partial(Pci, backbone="resnext101_32x4d")
r152 = partial(Row, source=ONE + ", ResNet 152")
rx101 = partial(Row, source=TWO + ", ResNext 101")
rs101 = partial(Row, source=TWO + ", ResNest 101")

RESNET101 = Table(
    name="pci/resnet101",
    title="ResNet 101",
    label="ResNet 101, {}",
    team="PCI",
    edition="webvision2",
    doubt=LETTERS,
    rows=(
        r101(name="A", recipe=Pci(row="A"), printed=percent("51.78", "74.76")),
        r101(name="B1", recipe=Pci(row="B1"), printed=percent("55.52", "77.78")),
        r101(name="B2", recipe=Pci(row="B2"), printed=percent("55.87", "78.13")),
        r101(
            name="C",
            recipe=Pci(row="C"),
            printed=percent("54.74", "78.69"),
            doubt="top-1 falls although all other numbers rise: perhaps a misprint of 56.74",
        ),
    ),
)
RESNET152 = Table(
    name="pci/resnet152",
    title="ResNet 152",
    label="ResNet 152, {}",
    team="PCI",
    edition="webvision2",
    doubt=LETTERS,
    rows=(
        r152(name="B1", recipe=deep(row="B1"), printed=percent("55.84", "78.01")),
        r152(name="B2", recipe=deep(row="B2"), printed=percent("56.16", "78.36")),
        r152(name="C", recipe=deep(row="C"), printed=percent("56.77", "78.83")),
    ),
)
RESNEXT101 = Table(
    name="pci/resnext101",
    title="ResNext 101",
    label="ResNext 101, {}",
    team="PCI",
    edition="webvision2",
    doubt=LETTERS + "; the cardinality of the ResNeXt is not stated",
    rows=(
        rx101(
            name="B1",
            recipe=resnext(row="B1"),
            printed=percent("55.63", "77.91"),
        ),
        rx101(
            name="C",
            recipe=resnext(row="C"),
            printed=percent("56.58", "78.63"),
        ),
    ),
)
RESNEST101 = Table(
    name="pci/resnest101",
    title="ResNest 101",
    label="ResNest 101, {}",
    team="PCI",
    edition="webvision2",
    doubt=LETTERS,
    rows=(
        rs101(
            name="B1",
            recipe=resnest(row="B1"),
            printed=percent("56.36", "78.53"),
        ),
        rs101(name="C", recipe=resnest(row="C"), printed=percent("57.23", "79.23")),
    ),
)
FINAL = Table(
    name="pci/final",
    title="Final result",
    team="PCI",
    edition="webvision2",
    split="test",
    protocol="challenge entry",
    rows=(
        Row(
            name="multi-model ensemble, multi-scale, multi-crop",
            recipe=Pci(row="C", ensemble="four_networks"),
            printed=top5("79.88"),
            source=TWO,
            doubt="models, scales and crops are not stated",
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
    first(text="Training strategies beat plain training", better=B1, worse=A),
    first(
        text=f"With training strategies ResNet-152 {PLAINLY}",
        better=RESNET152["B1"],
        worse=A,
    ),
    second(
        text=f"Training strategies: ResNeXt-101 {PLAINLY}",
        better=RESNEXT101["B1"],
        worse=A,
    ),
    second(
        text=f"Training strategies: ResNeSt-101 {PLAINLY}",
        better=RESNEST101["B1"],
        worse=A,
    ),
    first(text="Reweighting classes helps ResNet-101", better=B2, worse=B1),
    first(
        text="Reweighting classes helps ResNet-152",
        better=RESNET152["B2"],
        worse=RESNET152["B1"],
    ),
    first(text=f"ResNet-101 gains {RETRAINED}", better=C, worse=B2),
    first(
        text=f"ResNet-152 gains {RETRAINED}",
        better=RESNET152["C"],
        worse=RESNET152["B2"],
    ),
    second(
        text=f"ResNeXt-101 gains {RETRAINED}, classes reweighted",
        better=RESNEXT101["C"],
        worse=RESNEXT101["B1"],
    ),
    second(
        text=f"ResNeSt-101 gains {RETRAINED}, classes reweighted",
        better=RESNEST101["C"],
        worse=RESNEST101["B1"],
    ),
    first(
        text="Training strategies beat plain training",
        better=B1,
        worse=A,
        metric="top1",
    ),
    first(text="Reweighting classes helps", better=B2, worse=B1, metric="top1"),
    first(
        text=f"ResNet-101's top-1 suffers {RETRAINED}",
        better=B2,
        worse=C,
        metric="top1",
        kind="hurts",
        doubt=C.doubt,
    ),
    first(
        text=f"ResNet-152 gains {RETRAINED}",
        better=RESNET152["C"],
        worse=RESNET152["B2"],
        metric="top1",
    ),
    first(text="ResNet-152 beats ResNet-101", better=RESNET152["C"], worse=C),
    second(
        text="ResNeSt-101 beats ResNet-152, the next best",
        better=RESNEST101["C"],
        worse=RESNET152["C"],
    ),
    second(
        text="Several networks on several scales and crops beat the best network",
        better=FINAL.rows[0],
        worse=RESNEST101["C"],
        stated=None,
        doubt="79.88 was measured on test, 79.23 on val: the size is not comparable",
    ),
)
