"""Huawei Cloud, WebVision 2019: the tables and lists of a bag of tricks."""

from __future__ import annotations

from functools import partial

from harness_plugins.bigvideo import BigVideo
from harness_plugins.huawei import Huawei
from harness_reproductions.decks.rows import Row, Table, errors, top5

BASE = "not stated whether added to 'Baseline' or, as here, to 'Baseline + reweight class'"
MAKERS = "WebVision benchmark"
ALONE = "read as printed: without reweighting classes"

val = partial(Table, team="Huawei Cloud", edition="webvision2")
strategy = partial(Row, source="Huawei deck, 'Training strategy'")
official = partial(Row, recipe=None, team=MAKERS, source="Huawei deck, 'Pretrained models'")
imbalance = partial(Row, source="Huawei deck, 'Handle imbalance - reweight class'")
ranked = partial(Row, source="Huawei deck, 'Handle imbalance - top ranked images + oversampling'")
use = partial(Row, source="Huawei deck, 'How to use the cluster result?'")
summary = partial(Row, source="Huawei deck, 'Summary of results based on clustering'")
matching = partial(Row, source="Huawei deck, 'Leverage meta information'")
meta = partial(Row, source="Huawei deck, 'Summary of result based on meta information'")
network = partial(Row, source="Huawei deck, 'Model architecture'")
distilled = partial(Row, source="Huawei deck, 'Model distillation'")
combined = partial(Row, source="Huawei deck, 'Ensemble strategy'")
ensemble = partial(Row, source="Huawei deck, 'Results of ensemble'")
challenge = partial(Row, source="Huawei deck, 'Challenge Results'")
PLAIN = Huawei(noise="none")

STRATEGY = val(
    name="huawei/strategy",
    title="Training strategy: ResNet-50",
    rows=(
        strategy(name="Baseline (official)", recipe=None, team=MAKERS, printed=top5("71.49")),
        strategy(name="Our baseline", recipe=PLAIN, printed=top5("73.60")),
    ),
)
PRETRAINED = val(
    name="huawei/pretrained",
    title="Pretrained models: of the benchmark's makers",
    doubt="an epoch is 1.28 million images; classes are balanced by repetition",
    rows=(
        official(name="ResNet-50 (101 Epoch)", printed=errors("54.28", "30.69")),
        official(name="ResNet-50 (205 Epoch)", printed=errors("52.10", "28.51")),
        official(name="ResNet-101 (100 Epoch)", printed=errors("52.21", "28.62")),
        official(name="ResNet-101 (200 Epoch)", printed=errors("50.12", "26.78")),
        official(name="ResNet-101 (300 Epoch)", printed=errors("48.97", "25.74")),
        official(name="ResNet-101 (500 Epoch)", printed=errors("48.38", "25.21")),
        official(name="ResNeXt-101 (100 Epoch)", printed=errors("50.62", "27.11")),
        official(name="ResNet-152 (100 Epoch)", printed=errors("51.23", "27.80")),
        official(name="ResNet-152 (200 Epoch)", printed=errors("48.98", "25.75")),
        official(name="ResNet-152 (300 Epoch)", printed=errors("48.05", "24.88")),
        official(name="ResNet-152 (500 Epoch)", printed=errors("47.31", "24.31")),
        official(name="ResNet-152-SE (100 Epoch)", printed=errors("51.61", "28.02")),
    ),
)
REWEIGHT = val(
    name="huawei/reweight-class",
    title="Handle imbalance - reweight class",
    rows=(
        imbalance(name="Baseline", recipe=PLAIN, printed=top5("73.6")),
        imbalance(
            name="Reweight class", recipe=Huawei(noise="reweight_class"), printed=top5("74.4")
        ),
    ),
)
TOP_RANKED = val(
    name="huawei/top-ranked",
    title="Handle imbalance - top ranked images + oversampling",
    rows=(
        ranked(name="Baseline", recipe=PLAIN, printed=top5("73.6")),
        ranked(name="Reweight class", recipe=Huawei(noise="reweight_class"), printed=top5("74.4")),
        ranked(
            name="Top-3500 ranked images + oversampling",
            recipe=Huawei(noise="top_ranked"),
            printed=top5("75.02"),
        ),
    ),
)
CLUSTER_USES = val(
    name="huawei/cluster-uses",
    title="How to use the cluster result?",
    rows=(
        use(name="Choose cluster with more images", recipe=Huawei(noise="kmeans_large")),
        use(name="Choose compact cluster", recipe=Huawei(noise="kmeans_compact")),
        use(name="Set large weight for large cluster", recipe=Huawei(noise="kmeans_size")),
        use(
            name="Set large weight for cluster close to 'top ranked images'",
            recipe=Huawei(noise="kmeans_distance"),
        ),
        use(name="Choose the clean cluster for training", recipe=Huawei(noise="density_clean")),
        use(
            name="Curriculum learning, clean to noisy data in turn",
            recipe=Huawei(noise="density_curriculum"),
        ),
        use(name="Reweight based on cleanness", recipe=Huawei(noise="density_weight")),
    ),
)
CLUSTERING = val(
    name="huawei/clustering",
    title="Summary of results based on clustering",
    doubt="'confused classes', the number of clusters and the weights are not stated",
    rows=(
        summary(name="Baseline", recipe=PLAIN, printed=top5("73.6")),
        summary(
            name="Baseline + reweight class",
            recipe=Huawei(noise="reweight_class"),
            printed=top5("74.4"),
        ),
        summary(
            name="K-means + choose large cluster",
            recipe=Huawei(noise="kmeans_large"),
            printed=top5("69.7"),
            doubt=BASE,
        ),
        summary(
            name="K-means + reweight based on cluster size",
            recipe=Huawei(noise="kmeans_size"),
            printed=top5("74.6"),
            doubt=BASE,
        ),
        summary(
            name="K-means + reweight based on distance to top ranked images",
            recipe=Huawei(noise="kmeans_distance"),
            printed=top5("74.8"),
            doubt=BASE,
        ),
        summary(
            name="Density clustering + choose clean cluster",
            recipe=Huawei(noise="density_clean"),
            printed=top5("70.8"),
            doubt=BASE,
        ),
        summary(
            name="Density clustering + curriculum learning",
            recipe=Huawei(noise="density_curriculum"),
            printed=top5("72.3"),
            doubt=BASE,
        ),
        summary(
            name="Density clustering + reweight cluster",
            recipe=Huawei(noise="density_weight"),
            printed=top5("74.8"),
            doubt=BASE,
        ),
    ),
)
MATCHING = val(
    name="huawei/matching",
    title="Leverage meta information",
    rows=(
        matching(name="BERT model", recipe=Huawei(noise="semantic")),
        matching(name="Keyword matching", recipe=Huawei(noise="keywords")),
    ),
)
META = val(
    name="huawei/meta",
    title="Summary of result based on meta information",
    rows=(
        meta(name="Baseline", recipe=PLAIN, printed=top5("73.6")),
        meta(
            name="Semantic Matching",
            recipe=Huawei(noise="semantic_only", reweight="off"),
            printed=top5("65.5"),
            doubt=ALONE,
        ),
        meta(
            name="Baseline + Semantic Matching",
            recipe=Huawei(noise="semantic", reweight="off"),
            printed=top5("75.35"),
            doubt=ALONE + "; how the two are combined is not stated",
        ),
    ),
)
ARCHITECTURE = val(
    name="huawei/architecture",
    title="Model architecture",
    rows=(
        network(name="ResNet-50 (baseline)", recipe=PLAIN, printed=top5("73.6")),
        network(
            name="SE-ResNet-50",
            recipe=Huawei(noise="none", backbone="seresnet50"),
            printed=top5("73.12"),
        ),
        network(
            name="ResNet-152",
            recipe=Huawei(noise="none", backbone="resnet152"),
            printed=top5("76.61"),
        ),
        network(
            name="ResNet-200",
            recipe=Huawei(noise="none", backbone="resnet200"),
            printed=top5("76.25"),
        ),
        network(
            name="ResNeXt-101",
            recipe=Huawei(noise="none", backbone="resnext101_32x4d"),
            printed=top5("75.3"),
            doubt="its cardinality is not stated",
        ),
    ),
)
DISTILLATION = val(
    name="huawei/distillation",
    title="Model distillation",
    doubt="the students' images and the teachers' temperature and share are not stated",
    rows=(
        distilled(name="baseline", recipe=PLAIN, printed=top5("73.6")),
        distilled(
            name="Distillation with baseline",
            recipe=Huawei(noise="none", distil="baseline"),
            printed=top5("74.44"),
        ),
        distilled(
            name="Distillation with top ranked images + oversampling",
            recipe=Huawei(noise="none", distil="top_ranked"),
            printed=top5("75.02"),
            doubt="the same number as top-3500 ranked images + oversampling without distillation",
        ),
        distilled(
            name="Distillation with ensemble of models",
            recipe=Huawei(noise="none", distil="ensemble"),
            printed=top5("77.3"),
            doubt="the teacher models are not stated",
        ),
    ),
)
COMBINATIONS = val(
    name="huawei/combinations",
    title="Ensemble strategy",
    rows=(
        combined(name="Majority Voting", recipe=Huawei(ensemble="vote")),
        combined(name="Average combination", recipe=Huawei(ensemble="mean")),
        combined(name="Vote + average logits", recipe=Huawei(ensemble="vote_mean_logits")),
        combined(name="Learn the combination weights", recipe=Huawei(ensemble="learned")),
    ),
)
ENSEMBLE = val(
    name="huawei/ensemble",
    title="Results of ensemble",
    doubt="the combined models are not stated",
    rows=(
        ensemble(
            name="Simple ensemble",
            recipe=Huawei(ensemble="mean"),
            printed=top5("80.4"),
            doubt="the deck does not state which simple strategy; read as the average",
        ),
        ensemble(name="Learned ensemble", recipe=Huawei(ensemble="learned"), printed=top5("81.3")),
    ),
)
CHALLENGE = Table(
    name="huawei/challenge",
    title="WebVision challenge 2019: Challenge Results",
    team="{}",
    label="",
    edition="webvision2",
    split="test",
    protocol="challenge entry",
    rows=(
        challenge(name="Alibaba-Vision", recipe=None, printed=top5("82.54")),
        challenge(name="BigVideo", recipe=BigVideo(ensemble="three"), printed=top5("82.05")),
        challenge(name="huaweicloud", recipe=Huawei(ensemble="learned"), printed=top5("81.15")),
        challenge(name="Y_Y", recipe=None, printed=top5("80.69")),
        challenge(name="PCI", recipe=None, printed=top5("77.92")),
    ),
)
TABLES = (
    *(STRATEGY, PRETRAINED, REWEIGHT, TOP_RANKED, CLUSTER_USES, CLUSTERING, MATCHING, META),
    *(ARCHITECTURE, DISTILLATION, COMBINATIONS, ENSEMBLE, CHALLENGE),
)
