"""The claims of Huawei's deck, by slide."""

from __future__ import annotations

from functools import partial

from harness_reproductions.decks.claims import Claim
from harness_reproductions.decks.huawei import (
    ARCHITECTURE,
    CHALLENGE,
    CLUSTERING,
    COMBINATIONS,
    DISTILLATION,
    ENSEMBLE,
    MATCHING,
    META,
    PRETRAINED,
    REWEIGHT,
    STRATEGY,
    TOP_RANKED,
)

HOME = "Huawei deck, 'Take-home messages'"
OFFICIAL = "a model of the benchmark's makers: we have no recipe for it"
CLUSTER_BASE, CLASSES, LARGE, SIZE, DISTANCE, CLEAN, CURRICULUM, DENSITY = CLUSTERING.rows
META_BASE, ONLY, SEMANTIC = META.rows
R50, SE50, R152, R200, RX101 = ARCHITECTURE.rows
UNTAUGHT, BY_BASELINE, BY_TOP_RANKED, BY_ENSEMBLE = DISTILLATION.rows
SIMPLE, LEARNED = ENSEMBLE.rows
MEMBER = "compared with the member of ours whose published accuracy is the best"

official = partial(Claim, source=PRETRAINED.source, doubt=OFFICIAL)
clusters = partial(Claim, source=CLUSTERING.source)
meta = partial(Claim, source=META.source)
network = partial(Claim, source=ARCHITECTURE.source)
taught = partial(Claim, source=DISTILLATION.source)
ensemble = partial(Claim, source=HOME)

DATA = (
    Claim(
        text="Large batches, warm-up and cosine beat the official baseline",
        better=STRATEGY["Our baseline"],
        worse=STRATEGY["Baseline (official)"],
        source=STRATEGY.source,
        doubt=OFFICIAL,
    ),
    official(
        text="Twice the epochs help ResNet-50",
        better=PRETRAINED["ResNet-50 (205 Epoch)"],
        worse=PRETRAINED["ResNet-50 (101 Epoch)"],
    ),
    official(
        text="Five times the epochs help ResNet-101",
        better=PRETRAINED["ResNet-101 (500 Epoch)"],
        worse=PRETRAINED["ResNet-101 (100 Epoch)"],
    ),
    official(
        text="Five times the epochs help ResNet-152",
        better=PRETRAINED["ResNet-152 (500 Epoch)"],
        worse=PRETRAINED["ResNet-152 (100 Epoch)"],
    ),
    official(
        text="SE blocks hurt the official ResNet-152",
        better=PRETRAINED["ResNet-152 (100 Epoch)"],
        worse=PRETRAINED["ResNet-152-SE (100 Epoch)"],
        kind="hurts",
    ),
    Claim(
        text="Reweighting classes beats the baseline",
        better=REWEIGHT["Reweight class"],
        worse=REWEIGHT["Baseline"],
        source=REWEIGHT.source,
    ),
    Claim(
        text="Top-ranked images + oversampling beat the baseline",
        better=TOP_RANKED["Top-3500 ranked images + oversampling"],
        worse=TOP_RANKED["Baseline"],
        source=TOP_RANKED.source,
    ),
    Claim(
        text="Top-ranked images are more useful: with oversampling they beat reweighting classes",
        better=TOP_RANKED["Top-3500 ranked images + oversampling"],
        worse=TOP_RANKED["Reweight class"],
        source=HOME,
    ),
)
NOISE = (
    clusters(
        text="Choosing the large K-means cluster hurts",
        better=CLUSTER_BASE,
        worse=LARGE,
        kind="hurts",
    ),
    clusters(
        text="Choosing the clean density cluster hurts",
        better=CLUSTER_BASE,
        worse=CLEAN,
        kind="hurts",
    ),
    clusters(
        text="A curriculum over density clusters hurts",
        better=CLUSTER_BASE,
        worse=CURRICULUM,
        kind="hurts",
    ),
    clusters(
        text="Reweighting by K-means cluster size beats reweighting classes",
        better=SIZE,
        worse=CLASSES,
    ),
    clusters(
        text="Reweighting by distance to top-ranked images beats reweighting classes",
        better=DISTANCE,
        worse=CLASSES,
    ),
    clusters(
        text="Reweighting by density beats reweighting classes",
        better=DENSITY,
        worse=CLASSES,
    ),
    clusters(
        text="Reweighting by K-means cluster size beats choosing the large cluster",
        better=SIZE,
        worse=LARGE,
    ),
    clusters(
        text="Reweighting by density beats choosing the clean cluster",
        better=DENSITY,
        worse=CLEAN,
    ),
    clusters(
        text="Reweighting by density beats a curriculum over density clusters",
        better=DENSITY,
        worse=CURRICULUM,
    ),
    clusters(
        text="A curriculum over density clusters beats choosing the clean one",
        better=CURRICULUM,
        worse=CLEAN,
    ),
    clusters(
        text="Reweighting by distance to top-ranked images beats reweighting by cluster size",
        better=DISTANCE,
        worse=SIZE,
    ),
    clusters(
        text="Reweighting by density is as good as by distance to top-ranked images",
        better=DENSITY,
        worse=DISTANCE,
        kind="equal",
    ),
    meta(
        text="Training on semantic matches alone hurts",
        better=META_BASE,
        worse=ONLY,
        kind="hurts",
    ),
    meta(
        text="Semantic matching added to the baseline helps",
        better=SEMANTIC,
        worse=META_BASE,
    ),
    Claim(
        text="Semantic information is useful when combined with visual, not alone",
        better=SEMANTIC,
        worse=ONLY,
        source=HOME,
    ),
    Claim(
        text="Keyword matching is useful when combined with visual information",
        better=MATCHING["Keyword matching"],
        worse=REWEIGHT["Reweight class"],
        source=HOME,
        doubt="the message is about semantic information in general; no number is for keywords. "
        "Both sides reweight classes",
    ),
)
MODELS = (
    network(text="SE blocks hurt ResNet-50", better=R50, worse=SE50, kind="hurts"),
    network(text="ResNet-152 beats ResNet-50", better=R152, worse=R50),
    network(text="ResNet-200 beats ResNet-50", better=R200, worse=R50),
    network(text="ResNeXt-101 beats ResNet-50", better=RX101, worse=R50),
    network(text="ResNet-152 beats the deeper ResNet-200", better=R152, worse=R200),
    network(text="ResNet-152 beats ResNeXt-101", better=R152, worse=RX101),
    taught(
        text="Distilling the baseline into itself helps",
        better=BY_BASELINE,
        worse=UNTAUGHT,
    ),
    taught(
        text="Distilling from top-ranked images + oversampling helps",
        better=BY_TOP_RANKED,
        worse=UNTAUGHT,
    ),
    taught(
        text="Distilling from an ensemble works quite well",
        better=BY_ENSEMBLE,
        worse=UNTAUGHT,
    ),
    taught(
        text="A teacher of top-ranked images beats the baseline as teacher",
        better=BY_TOP_RANKED,
        worse=BY_BASELINE,
    ),
    taught(
        text="An ensemble as teacher beats the baseline as teacher",
        better=BY_ENSEMBLE,
        worse=BY_BASELINE,
    ),
    taught(
        text="A student of top-ranked images is as good as its teacher",
        better=BY_TOP_RANKED,
        worse=TOP_RANKED["Top-3500 ranked images + oversampling"],
        kind="equal",
        doubt=BY_TOP_RANKED.doubt,
    ),
    ensemble(
        text="A simple ensemble beats the best single model",
        better=SIMPLE,
        worse=BY_ENSEMBLE,
        doubt="the ensemble's single models are not named; this is the best printed model",
    ),
    ensemble(text="A learned ensemble is even better", better=LEARNED, worse=SIMPLE),
    ensemble(
        text="Ensemble always helps: majority voting",
        better=COMBINATIONS["Majority Voting"],
        worse=MATCHING["BERT model"],
        doubt=MEMBER,
    ),
    ensemble(
        text="Ensemble always helps: vote + average logits",
        better=COMBINATIONS["Vote + average logits"],
        worse=MATCHING["BERT model"],
        doubt=MEMBER,
    ),
    Claim(
        text="BigVideo's three models beat huaweicloud's learned ensemble",
        better=CHALLENGE["BigVideo"],
        worse=CHALLENGE["huaweicloud"],
        source=CHALLENGE.source,
        doubt="a ranking of entries whose models are not stated",
    ),
)
CLAIMS = (*DATA, *NOISE, *MODELS)
