"""What every trick of the toolbox must keep; a new one fails here until it is in the table."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import itertools
import pkgutil
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import harness.tricks
from harness.data.synthweb.classes import vocabulary
from harness.language.lexical import encode_words
from harness.samples import COLUMNS, Predictions, StageOutputs, Text, WebClass
from harness.training.outputs import logits_of
from harness.tricks.batch.ask_averaged import AskAveraged
from harness.tricks.batch.ask_clean import AskClean
from harness.tricks.batch.both_views import BothViews
from harness.tricks.batch.cutmix import CutMix
from harness.tricks.batch.label_smoothing import SmoothLabels
from harness.tricks.batch.mix_chosen import MixChosen
from harness.tricks.batch.mix_match import MixMatch
from harness.tricks.batch.mixup import MixUp
from harness.tricks.batch.momentum_view import MomentumView
from harness.tricks.epoch.divide_by_loss import DivideByLoss
from harness.tricks.epoch.vote_of_neighbours import VoteOfNeighbours
from harness.tricks.loss.co_teaching import CoTeaching
from harness.tricks.loss.distil import Distil
from harness.tricks.loss.early_learning import EarlyLearning
from harness.tricks.loss.feature_consistency import FeatureConsistency
from harness.tricks.loss.focal import Focal
from harness.tricks.loss.generalized_cross_entropy import GeneralizedCrossEntropy
from harness.tricks.loss.ghm import GHM
from harness.tricks.loss.joint_agreement import JointAgreement
from harness.tricks.loss.meta_weights import MetaWeights
from harness.tricks.loss.momentum_prototypes import MomentumPrototypes
from harness.tricks.loss.multi_label import SigmoidCrossEntropy
from harness.tricks.loss.neighbour_consistency import NeighbourConsistency
from harness.tricks.loss.self_supervised import SelfSupervised
from harness.tricks.loss.semi_supervised import SemiSupervised
from harness.tricks.loss.sparse_over_parameterization import SparseOverParameterization
from harness.tricks.loss.symmetric_cross_entropy import SymmetricCrossEntropy
from harness.tricks.model.cosine_classifier import CosineClassifier
from harness.tricks.model.gem_pooling import GeMPooling
from harness.tricks.model.multi_scale_stem import MultiScaleStem
from harness.tricks.model.projection import Projection
from harness.tricks.model.with_features import WithFeatures
from harness.tricks.noise.class_weights import ReweightClasses
from harness.tricks.noise.confident_learning import ConfidentLearning
from harness.tricks.noise.confused_clusters import USES, ConfusedClusters
from harness.tricks.noise.correct_labels import CorrectLabels
from harness.tricks.noise.density import DensitySubsets
from harness.tricks.noise.hold_out import HoldOut
from harness.tricks.noise.image_weights import WeighByModel
from harness.tricks.noise.keyword_match import KeywordMatch
from harness.tricks.noise.keyword_tags import KeywordTags
from harness.tricks.noise.kmeans import KMeansSubsets
from harness.tricks.noise.label_weights import LabelWeights
from harness.tricks.noise.listed_scores import ListedScores
from harness.tricks.noise.picture_match import PictureMatch
from harness.tricks.noise.pseudo_labels import PseudoLabels
from harness.tricks.noise.semantic_match import SemanticMatch
from harness.tricks.noise.subsets import KeepSubsets, WeighSubsets
from harness.tricks.noise.top_ranked import KeepTopRanked
from harness.tricks.picture.colour_jitter import ColourJitter
from harness.tricks.picture.gaussian_blur import GaussianBlur
from harness.tricks.picture.rand_augment import RandAugment
from harness.tricks.picture.random_erasing import RandomErasing
from harness.tricks.picture.random_grey import RandomGrey
from harness.tricks.testing.crops import MultiCrop
from harness.tricks.testing.multi_scale import MultiScale
from harness.values import Batch, Picture, Stage, View, apply

INITIAL = Stage(name="initial")
SCORES = Path(__file__).parent / "noise" / "scores.csv"  # of the samples below

# One canonical tiny setting of every trick.
TOOLBOX = {
    "noise": [
        DensitySubsets(sees=INITIAL),
        KMeansSubsets(sees=INITIAL, num_subsets=2),
        *(ConfusedClusters(sees=INITIAL, use=use) for use in USES),
        ReweightClasses(exponent=0.5),
        KeepTopRanked(count=2_000),
        WeighByModel(sees=INITIAL),
        SemanticMatch(encoder="words"),
        PictureMatch(encoder="words"),
        KeywordMatch(),
        KeywordTags(tagger="textblob", least_images=2),
        LabelWeights(encoder="words", neighbours=3, top=2),
        PseudoLabels(sees=(INITIAL,)),
        CorrectLabels(sees=(INITIAL,), threshold=0.5),
        ConfidentLearning(sees=(INITIAL,)),
        HoldOut(fold=1, folds=3),
        ListedScores(file=SCORES, share=0.5),
        WeighSubsets(weights=(1.0, 0.5, 0.25)),
        KeepSubsets(count=3, highly_noisy_share=0.5, seed=1),
    ],
    "epoch": [DivideByLoss(), VoteOfNeighbours(neighbours=3)],
    "model": [
        MultiScaleStem(kernels=(5, 9)),
        GeMPooling(p=2.0),
        CosineClassifier(scale=5.0),
        WithFeatures(),
        Projection(size=3, hidden=4),
    ],
    "picture": [
        RandAugment(count=3, magnitude=15.0),
        ColourJitter(probability=1.0),
        RandomGrey(probability=1.0),
        GaussianBlur(probability=1.0, most=20.0),
        RandomErasing(probability=1.0),
    ],
    "batch": [
        AskAveraged(peer=1),
        MixUp(alpha=0.4),
        CutMix(alpha=1.0),
        SmoothLabels(smoothing=0.1),
        MixMatch(),
        MixChosen(),
        BothViews(),
        MomentumView(),
        AskClean(),
    ],
    "loss": [
        Focal(gamma=2.0),
        GHM(bins=4),
        SelfSupervised(pseudo="teacher", temperature=0.5),
        Distil(weight=0.5, temperature=2.0),
        SigmoidCrossEntropy(),
        CoTeaching(forget_rate=0.5),
        JointAgreement(agreement=0.5),
        SemiSupervised(unlabelled=2.0),
        GeneralizedCrossEntropy(q=0.7),
        SymmetricCrossEntropy(alpha=0.1, beta=1.0),
        EarlyLearning(momentum=0.7, strength=3.0),
        SparseOverParameterization(lr_u=1.0, lr_v=10.0),
        NeighbourConsistency(count=3, start=0.0),
        FeatureConsistency(strength=0.0),
        MomentumPrototypes(size=3, queue=6),
        MetaWeights(hidden=2),
    ],
    "testing": [MultiCrop(crops=10), MultiScale(scales=(1.0, 1.5))],
}
TRICKS = [
    pytest.param(trick, id=type(trick).__name__) for slot in TOOLBOX.values() for trick in slot
]


def of(slot):
    return [pytest.param(trick, id=type(trick).__name__) for trick in TOOLBOX[slot]]


def found_tricks():
    """Every public class of ``harness.tricks`` that can be called and is no network layer."""
    found = set()
    for info in pkgutil.walk_packages(harness.tricks.__path__, "harness.tricks."):
        module = importlib.import_module(info.name)
        found |= {
            kind
            for name, kind in vars(module).items()
            if isinstance(kind, type)
            and kind.__module__ == module.__name__
            and not name.startswith("_")
            and "__call__" in vars(kind)
            and not issubclass(kind, nn.Module)
        }
    return found


def test_every_trick_has_a_canonical_setting_here():
    known = {type(trick) for slot in TOOLBOX.values() for trick in slot}
    missing = sorted(kind.__qualname__ for kind in found_tricks() - known)
    assert not missing, f"add a tiny setting of {missing} to TOOLBOX in {__file__}"
    assert known <= found_tricks()


def test_every_trick_is_in_the_folder_of_its_slot():
    for slot, tricks in TOOLBOX.items():
        for trick in tricks:
            assert type(trick).__module__.startswith(f"harness.tricks.{slot}.")


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_is_a_frozen_value(trick):
    kind = type(trick)
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    assert all(field.kw_only for field in dataclasses.fields(kind))
    assert hash(trick) == hash(copy.deepcopy(trick))
    with pytest.raises(dataclasses.FrozenInstanceError):
        trick.any_field = None


@pytest.mark.parametrize("trick", TRICKS)
def test_its_repr_says_every_field(trick):
    known = {"Stage": lambda name: Stage(name=name), "PosixPath": Path}
    again = eval(repr(trick), known | {type(trick).__name__: type(trick)})
    assert again == trick
    for field in dataclasses.fields(trick):
        assert f"{field.name}=" in repr(trick)


@pytest.mark.parametrize("trick", TRICKS)
def test_it_names_its_source(trick):
    assert "**Source:**" in type(trick).__doc__


def looks_of(files):
    """Encode pictures as vectors drawn from their names, as wide as ``encode_words`` has them."""

    def encode_pictures(encoder, rows):
        seeds = [zlib.crc32(str(files[row]).encode()) for row in rows]
        drawn = np.array([np.random.default_rng(seed).random(1_025) for seed in seeds], np.float32)
        return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)

    return encode_pictures


@pytest.fixture
def samples(make_samples):
    random = np.random.default_rng(0)
    whole = make_samples(
        np.arange(60) % 4,
        random.standard_normal((60, 8)),
        num_classes=5,
        weight=random.uniform(0, 2, 60).astype(np.float32),
        subset=(np.arange(60) % 7 % 4 - 1).astype(np.int8),
        classes=tuple(WebClass(c.wnid, c.lemmas, c.gloss) for c in vocabulary(1, 5)),
        read_texts=lambda: [
            Text(f"large bird {n % 7}", "wading heron" if n % 3 else "", ("lake",) * (n % 2))
            for n in range(60)
        ],
        encode_texts=lambda encoder, texts: encode_words(texts),
    )
    whole = whole.assign(encode_pictures=looks_of(whole.files))
    said = np.sort(random.dirichlet(np.ones(5), 60).astype(np.float32), axis=1)[:, ::-1]
    predictions = Predictions(
        random.permuted(np.tile(np.arange(5, dtype=np.int32), (60, 1)), axis=1)[:, :3],
        said[:, :3].copy(),
        random.random(60, np.float32),
    )
    whole = whole.assign(seen={"initial": StageOutputs(whole.features(INITIAL), predictions)})
    columns = [getattr(whole, name) for name in COLUMNS]
    for column in (*columns, whole.features(INITIAL), *predictions):
        column.flags.writeable = False
    return whole


@pytest.mark.parametrize("trick", of("noise"))
def test_a_noise_trick_keeps_samples_sound(trick, samples):
    before = {name: getattr(samples, name).copy() for name in COLUMNS}
    after, again = trick(samples), trick(samples)
    assert len(after) == len(samples)
    assert np.isfinite(after.weight).all()
    assert after.weight.min() >= 0
    assert after.subset.min() >= -1
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(samples, name), before[name])
        np.testing.assert_array_equal(getattr(after, name), getattr(again, name))
        assert getattr(after, name).dtype == before[name].dtype
    assert (after.subset[samples.subset == -1] == -1).all()


# K-means begins at rows that its seed draws, and KeepSubsets draws rows: they mind the order.
MIND_THE_ORDER = (KMeansSubsets, ConfusedClusters, KeepSubsets)


@pytest.mark.parametrize(
    "trick", [p for p in of("noise") if not isinstance(p.values[0], MIND_THE_ORDER)]
)
def test_the_order_of_samples_does_not_matter(trick, samples):
    order = np.random.default_rng(1).permutation(len(samples))
    texts = samples.texts()
    sight = samples.seen["initial"]
    predictions = Predictions(*(column[order] for column in sight.predictions))
    moved = samples.assign(
        **{name: getattr(samples, name)[order] for name in COLUMNS},
        read_texts=lambda: [texts[row] for row in order],
        encode_pictures=looks_of(samples.files[order]),
        seen={"initial": StageOutputs(sight.features[order], predictions)},
    )
    there, here = trick(moved), trick(samples)
    np.testing.assert_allclose(there.weight, here.weight[order], rtol=1e-6)
    np.testing.assert_array_equal(there.subset, here.subset[order])
    assert there.target_names == here.target_names
    if here.targets is not None:
        for own, theirs in zip(there.targets, here.targets, strict=True):
            np.testing.assert_allclose(own, theirs[order], rtol=1e-6)


@pytest.mark.parametrize("trick", of("noise"))
def test_targets_are_among_the_outputs_and_some_weigh(trick, samples):
    after = trick(samples)
    if after.targets is None:
        return
    classes, weights = after.targets
    assert classes.shape == weights.shape
    assert 0 <= classes.min() <= classes.max() < after.num_outputs
    assert np.isfinite(weights).all()
    assert weights.min() >= 0
    assert (weights[after.subset >= 0].sum(axis=1) > 0).all()


@pytest.mark.parametrize("trick", of("testing"))
def test_a_testing_trick_gives_views(trick):
    views = (View(short_side=36, size=32), View(short_side=48, size=40, flip=True))
    after = trick(views)
    assert after == trick(views)
    assert len(after) == len(set(after)) > 0
    assert all(0 < view.size <= view.short_side for view in after)


class Network(nn.Sequential):
    """Parts of which the last is the classifier, with the methods of timm's networks."""

    def forward_features(self, images):
        return self[1](self[0](images))

    def forward_head(self, maps, pre_logits=False):
        pooled = self[3](self[2](maps))
        return pooled if pre_logits else self[4](pooled)

    def get_classifier(self):
        return self[4]


@pytest.mark.parametrize("trick", of("model"))
def test_a_model_trick_keeps_the_outputs_shape(trick):
    network = Network(
        nn.Conv2d(3, 4, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
    )
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.rand(2, 3, 32, 32)
    outputs = []
    for _ in range(2):
        torch.manual_seed(0)
        outputs.append(logits_of(trick(network)(images)))
    assert outputs[0].shape == network(images).shape
    torch.testing.assert_close(outputs[0], outputs[1])
    assert before.keys() == network.state_dict().keys()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name])


@pytest.mark.parametrize("trick", of("picture"))
def test_a_picture_trick_draws_from_the_pictures_seed_alone(trick):
    pixels = np.random.default_rng(0).integers(256, size=(24, 32, 3), dtype=np.uint8)
    pixels.flags.writeable = False
    found = []
    for state in (1, 2):
        torch.manual_seed(state)
        np.random.seed(state)  # noqa: NPY002
        after = trick(Picture(pixels, seed=5, view=1))
        assert after[1:] == (5, 1)
        assert after.pixels.dtype == np.uint8
        assert after.pixels.shape == pixels.shape
        found.append(after.pixels)
        assert torch.initial_seed() == state
        drawn = torch.rand(1)
        torch.manual_seed(state)
        torch.testing.assert_close(drawn, torch.rand(1), rtol=0, atol=0)
    np.testing.assert_array_equal(*found)
    others = [trick(Picture(pixels, seed)).pixels for seed in range(20)]
    assert any(not np.array_equal(other, pixels) for other in others)


@pytest.mark.parametrize("trick", of("picture"))
def test_a_picture_trick_changes_the_views_it_is_for(trick):
    pixels = np.random.default_rng(0).integers(256, size=(24, 24, 3), dtype=np.uint8)
    second = dataclasses.replace(trick, views=(1,))
    for seed in range(8):
        first, other = (second(Picture(pixels, seed, view)) for view in (0, 1))
        np.testing.assert_array_equal(first.pixels, pixels)
        np.testing.assert_array_equal(other.pixels, trick(Picture(pixels, seed, 1)).pixels)


TENSORS = ("images", "targets", "weights", "index", "teacher_logits", "peer_logits")


@pytest.fixture
def batch():
    """Eight samples of five classes; one weighs nothing, two have soft targets.

    It brings what any trick of the toolbox keeps, and a network's features.
    """
    random = torch.Generator().manual_seed(0)
    targets = torch.eye(5)[torch.arange(8) % 5]
    targets[6:] = torch.rand(2, 5, generator=random).softmax(dim=1)
    clean = Batch(
        images=torch.randn(3, 3, 6, 6, generator=random),
        targets=torch.eye(5)[:3],
        weights=torch.ones(3),
        index=torch.arange(3),
        seed=4,
        extra={"features": torch.ones(3, 3), "logits": torch.zeros(3, 5)},
    )
    return Batch(
        clean=clean,
        images=torch.randn(8, 6, 6, 3, generator=random).permute(0, 3, 1, 2),
        targets=targets,
        weights=torch.tensor([1.0, 0.5, 0.0, 2.0, 1.0, 1.0, 0.3, 1.0]),
        index=torch.arange(8) + 100,
        seed=3,
        teacher_logits=torch.randn(2, 8, 5, generator=random),
        peer_logits=torch.randn(1, 8, 5, generator=random),
        progress=0.5,
        epoch=5,
        subset=torch.arange(8) % 2,
        views=(torch.randn(8, 3, 6, 6, generator=random),),
        networks=Networks(),
        outputs={
            "features": torch.rand(8, 3, generator=random),
            "embedding": functional.normalize(torch.randn(8, 3, generator=random)),
        },
        extra={"momentum": functional.normalize(torch.randn(8, 3, generator=random))},
        shared={
            "prototypes": functional.normalize(torch.randn(5, 3, generator=random)),
            "queue": functional.normalize(torch.randn(6, 3, generator=random)),
            "queue_rows": torch.tensor([101, 103, 1, 2, 3, -1]),
            "meta": torch.randn(7, generator=random),
        },
        state={
            "early": torch.rand(8, 5, generator=random).softmax(dim=1) / 2,
            "sop_u": torch.full((8, 1), 0.3),
            "sop_v": torch.full((8, 5), 0.2),
        },
    )


class Networks:
    """Two networks whose logits are sums over parts of a picture."""

    def logits(self, images):
        return torch.stack([images.flatten(2)[:, 0, :5], images.flatten(2)[:, 1, :5]])

    def outputs(self, images):
        return {"logits": self.logits(images)[0], "features": images.flatten(1)[:, :3]}

    def averaged(self, images, peer=0, *, batch_statistics=False):
        return {"logits": self.logits(images)[peer], "embedding": images.flatten(1)[:, :3]}


def tensors(batch):
    return {name: getattr(batch, name).clone() for name in TENSORS}


def softmax_loss(logits, batch):
    return functional.cross_entropy(logits, batch.targets, reduction="none")


@pytest.mark.parametrize("trick", of("batch"))
def test_a_batch_trick_keeps_a_batch_sound(trick, batch):
    before = tensors(batch)
    after, again = trick(batch), trick(batch)
    for name, value in before.items():
        torch.testing.assert_close(getattr(batch, name), value, rtol=0, atol=0)
        torch.testing.assert_close(getattr(after, name), getattr(again, name), rtol=0, atol=0)
        assert getattr(after, name).shape[1:] == value.shape[1:]
        assert getattr(after, name).dtype == value.dtype
        assert torch.isfinite(getattr(after, name)).all()
    columns = ("images", "targets", "weights", "index", "subset", "source")
    assert {len(getattr(after, name)) for name in columns} == {len(after.index)}
    assert after.seed == batch.seed
    assert after.weights.min() >= 0
    assert after.targets.min() >= 0
    torch.testing.assert_close(after.targets.sum(dim=1), torch.ones(len(after.index)))


TAKES_VIEWS = (MixMatch, MixChosen, BothViews)  # which are then no views any more
NEEDS_VIEWS = (*TAKES_VIEWS, MomentumView)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pair
        for pair in itertools.product(TOOLBOX["batch"], repeat=2)
        if not (isinstance(pair[0], TAKES_VIEWS) and isinstance(pair[1], NEEDS_VIEWS))
    ],
)
def test_batch_tricks_compose(first, second, batch):
    after = apply([first, second], batch)
    torch.testing.assert_close(after.targets.sum(dim=1), torch.ones(len(after.index)))
    torch.testing.assert_close(after.weights.mean(), batch.weights.mean())


@pytest.mark.parametrize("trick", of("batch"))
def test_a_batch_trick_draws_from_the_batchs_seed_alone(trick, batch):
    outcomes = []
    for state in (1, 2):
        torch.manual_seed(state)
        outcomes.append(trick(batch))
        assert torch.initial_seed() == state
        drawn = torch.rand(1)
        torch.manual_seed(state)
        torch.testing.assert_close(drawn, torch.rand(1), rtol=0, atol=0)
    torch.testing.assert_close(outcomes[0].images, outcomes[1].images, rtol=0, atol=0)


@pytest.mark.parametrize("trick", of("loss"))
def test_a_loss_trick_gives_one_finite_loss_per_sample(trick, batch):
    before = tensors(batch)
    logits = torch.randn(8, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()
    losses = trick(softmax_loss)(logits, batch)
    assert losses.shape == (8,)
    assert losses.dtype == torch.float32
    assert losses.min() >= 0 or isinstance(trick, EarlyLearning)  # a logarithm below 1
    torch.testing.assert_close(losses, trick(softmax_loss)(logits, batch), rtol=0, atol=0)
    losses.sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0
    for name, value in before.items():
        torch.testing.assert_close(getattr(batch, name), value, rtol=0, atol=0)


@pytest.mark.parametrize("trick", of("loss"))
def test_a_loss_trick_does_not_mind_the_order_of_samples(trick, batch):
    logits = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))
    order = torch.tensor([3, 7, 0, 6, 1, 5, 4, 2])
    moved = dataclasses.replace(
        batch,
        images=batch.images[order],
        targets=batch.targets[order],
        weights=batch.weights[order],
        index=batch.index[order],
        teacher_logits=batch.teacher_logits[:, order],
        peer_logits=batch.peer_logits[:, order],
        subset=batch.subset[order],
        outputs={name: rows[order] for name, rows in batch.outputs.items()},
        extra={name: rows[order] for name, rows in batch.extra.items()},
        state={name: rows[order] for name, rows in batch.state.items()},
    )
    losses = trick(softmax_loss)(logits, batch)
    torch.testing.assert_close(trick(softmax_loss)(logits[order], moved), losses[order])


@pytest.mark.parametrize("trick", of("loss"))
def test_a_loss_trick_leaves_the_weights_to_the_engine(trick, batch):
    logits = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))
    losses = trick(softmax_loss)(logits, batch)
    heavy = dataclasses.replace(batch, weights=batch.weights * 3)
    torch.testing.assert_close(trick(softmax_loss)(logits, heavy), losses, rtol=0, atol=0)


@pytest.mark.parametrize("outer", of("loss"))
@pytest.mark.parametrize("inner", of("loss"))
def test_loss_tricks_compose_after_batch_tricks(inner, outer, batch):
    logits = (40 * torch.randn(8, 5, generator=torch.Generator().manual_seed(1))).requires_grad_()
    keeping = [trick for trick in TOOLBOX["batch"] if not isinstance(trick, TAKES_VIEWS)]
    mixed = apply(keeping, batch)
    losses = apply([inner, outer], softmax_loss)(logits, mixed)
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(logits.grad).all()
