"""Malong, WebVision 2017: four training schemes, the noisy share, networks, and the challenge."""

from __future__ import annotations

from functools import partial
from typing import Literal

from harness_plugins.malong import MalongCurriculum
from harness_reproductions.decks.claims import Claim
from harness_reproductions.decks.rows import CategoryComparison, Row, Table, errors, shares

RESULTS = "Malong deck, 'Results: Single Model, 10 Crops'"
FIGURE = "Malong deck, 'Result: Testing Loss', Figure 1"
KERNEL = "Malong deck, 'Methodology: Multi-Scale Convolutional Kernel'"
CATEGORY = "Malong deck, 'Comparisons: Model B & D'"
ENTRIES = "Malong deck, 'Rank, Team name, Run1 ... Run5' (an untitled slide before 'Summary')"

scheme = partial(Row, source=RESULTS + ", Table 1")
amount = partial(Row, source=RESULTS + ", Table 2")
network = partial(Row, source=RESULTS + ", Table 3")
curve = partial(Row, source=FIGURE)
val = partial(Table, team="Malong", edition="webvision1", protocol="10 views")


def one_of(model: Literal["A", "B", "C", "D"], top1_error: str, top5_error: str) -> Row:
    """Return Table 1's row of this training scheme."""
    return scheme(
        name=f"Model-{model}",
        recipe=MalongCurriculum(model=model),
        printed=errors(top1_error, top5_error),
    )


def noisy(percent: Literal[0, 25, 50, 75, 100], top1_error: str, top5_error: str) -> Row:
    """Return Table 2's row of this share of the highly noisy data."""
    return amount(
        name=f"{percent}%",
        recipe=MalongCurriculum(model="D", highly_noisy_percent=percent),
        printed=errors(top1_error, top5_error),
    )


def entries(team: str, *printed: str) -> Row:
    """Return a team's runs, whose models are not stated; the best run is the row's number."""
    return Row(name=team, recipe=None, printed=shares(*printed), source=ENTRIES)


TABLE1 = val(
    name="malong/table1",
    title="Table 1: Different models based on Inception_v2",
    rows=(
        scheme(
            name="Model-A", recipe=MalongCurriculum(model="A"), printed=errors("30.28", "12.98")
        ),
        scheme(
            name="Model-B", recipe=MalongCurriculum(model="B"), printed=errors("30.16", "12.43")
        ),
        scheme(
            name="Model-C", recipe=MalongCurriculum(model="C"), printed=errors("28.44", "11.38")
        ),
        scheme(
            name="Model-D", recipe=MalongCurriculum(model="D"), printed=errors("27.91", "10.82")
        ),
    ),
)
TABLE2 = val(
    name="malong/table2",
    title="Table 2: Model-D with various amounts of highly noisy data",
    label="Model-D with {} of the highly noisy data",
    rows=(
        noisy(0, "28.44", "11.38"),
        noisy(25, "28.17", "10.93"),
        noisy(50, "27.91", "10.82"),
        noisy(75, "28.48", "11.07"),
        noisy(100, "28.33", "10.94"),
    ),
)
TABLE3 = val(
    name="malong/table3",
    title="Table 3: Model-D with various networks",
    label="Model-D with {}",
    rows=(
        network(
            name="Inception_v2",
            recipe=MalongCurriculum(backbone="inception_v2"),
            printed=errors("27.91", "10.82"),
        ),
        network(
            name="Inception_v3",
            recipe=MalongCurriculum(backbone="inception_v3"),
            printed=errors("22.21", "7.88"),
        ),
        network(
            name="Inception_v4",
            recipe=MalongCurriculum(backbone="inception_v4"),
            printed=errors("21.97", "6.64"),
        ),
        network(
            name="Inception_resnet_v2",
            recipe=MalongCurriculum(backbone="inception_resnet_v2"),
            printed=errors("20.70", "6.38"),
        ),
    ),
)
FIGURE1 = val(
    name="malong/figure1",
    title="Figure 1: Testing loss of four different models, and of K-means",
    doubt="the curves are a picture without numbers; tested by accuracy instead of loss",
    rows=(
        curve(name="Model-A", recipe=MalongCurriculum(model="A")),
        curve(name="Model-B", recipe=MalongCurriculum(model="B")),
        curve(name="Model-C", recipe=MalongCurriculum(model="C")),
        curve(name="Model-D", recipe=MalongCurriculum(model="D")),
        curve(
            name="K-mean clustering in curriculum design",
            recipe=MalongCurriculum(model="D", clustering="kmeans"),
            doubt="the deck does not state which of the four models; read as D",
        ),
    ),
)
STEM = val(
    name="malong/multi-scale-kernel",
    title="Multi-scale convolutional kernel",
    rows=(
        Row(name="plain", recipe=MalongCurriculum(stem="plain"), source=KERNEL),
        Row(name="multi-scale", recipe=MalongCurriculum(stem="multi_scale"), source=KERNEL),
    ),
)
CHALLENGE = Table(
    name="malong/challenge",
    title="WebVision challenge 2017: five runs a team",
    team="{}",
    label="",
    edition="webvision1",
    split="test",
    protocol="challenge entry",
    rows=(
        entries("Malong AI Research", "0.9358", "0.9467", "0.9478", "0.9478", "0.9470"),
        entries("SHTU_SIST", "0.9223", "0.9225", "0.9218", "0.9219", "0.9216"),
        entries("HG-AI", "0.9189", "0.9152", "0.9152", "0.9189", "0.9189"),
        entries("VISTA", "0.8979", "0.9005", "0.8980", "0.8992", "0.8980"),
        entries("LZ_NES", "0.8853", "0.8758", "0.8723", "0.8504", "0.8504"),
        entries("CRCV", "0.8707", "0.8717", "0.8701", "0.8712", "0.8721"),
        entries("Chahrazad", "0.8705", "0.8705", "0.8705", "0.8705", "0.8705"),
        entries("Gombru (CVC and Eurecat)", "0.8475", "0.8374", "0.8586", "0.8586", "0.8586"),
    ),
)
TABLES = (TABLE1, TABLE2, TABLE3, FIGURE1, STEM, CHALLENGE)
CATEGORIES = CategoryComparison(
    better=TABLE1["Model-D"],
    worse=TABLE1["Model-B"],
    improved=668,
    reduced=195,
    unchanged=137,
    source=CATEGORY,
    doubt="the deck does not state whether by top-1 or top-5",
)

A, B, C, D = TABLE1.rows
ANY = "Some of the highly noisy data help"
V2, V3, V4, RESNET = TABLE3.rows


def both(text: str, better: Row, worse: Row) -> tuple[Claim, Claim]:
    """Return a claim for each metric, from a table that prints both."""
    claim = partial(Claim, text=text, better=better, worse=worse, source=better.source)
    return claim(metric="top1"), claim(metric="top5")


CLAIMS = (
    *both("The clean subset alone, B, beats all data at once, A", B, A),
    *both("Going on with the noisy subset, C, beats B", C, B),
    *both("Going on with highly noisy data, D, beats C", D, C),
    *both("The curriculum, D, beats all data at once, A", D, A),
    *both("The curriculum, D, beats the clean subset alone, B", D, B),
    *both(f"{ANY}: 50 % beat none", TABLE2["50%"], TABLE2["0%"]),
    *both("50 % of the highly noisy data beat 25 %", TABLE2["50%"], TABLE2["25%"]),
    *both("50 % of the highly noisy data beat 75 %", TABLE2["50%"], TABLE2["75%"]),
    *both("50 % of the highly noisy data beat 100 %", TABLE2["50%"], TABLE2["100%"]),
    *both(f"{ANY}: 25 % beat none", TABLE2["25%"], TABLE2["0%"]),
    *both(f"{ANY}: all beat none", TABLE2["100%"], TABLE2["0%"]),
    *both("Inception-v3 beats Inception-v2", V3, V2),
    *both("Inception-v4 beats Inception-v3", V4, V3),
    *both("Inception-ResNet-v2 beats Inception-v4", RESNET, V4),
    Claim(
        text="A curriculum by density beats one by K-means",
        better=FIGURE1["Model-D"],
        worse=FIGURE1["K-mean clustering in curriculum design"],
        source=FIGURE,
        doubt="the figure shows testing loss; the direction is inferred from the team's choice",
    ),
    Claim(
        text="The multi-scale kernel improves the performance by about 0.5 %",
        better=STEM["multi-scale"],
        worse=STEM["plain"],
        metric="top1",
        stated=0.5,
        source=KERNEL,
        doubt="metric and model are not stated; read as top-1 of Model-D",
    ),
)
