"""The values that flow through a run, and the one function that folds tricks over them.

Shape letters, used in docstrings and as suffixes inside maths: N samples of a split, B batch, K
classes, C channels, H height, W width, D features, V views.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from harness.averages import Average
from harness.errors import PluginError
from harness.optimizers import Groups, Optimizer, Sgd
from harness.samplers import Sampler, Uniform
from harness.samples import Samples
from harness.schedules import Schedule, WarmupCosine

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor
    from torch.nn import Module
else:
    Module = Any  # annotations of Stage are read at run time, and torch is heavy

T = TypeVar("T")
SLOTS = ("noise", "epoch", "model", "picture", "batch", "loss")  # the tricks that ride on a stage
Trick: TypeAlias = Callable[[T], T]
Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's statistics, by which images are normalised: the default of timm's networks."""
Combine: TypeAlias = Literal["mean", "vote", "vote_mean_logits", "learned"]


def apply(tricks: Iterable[Trick[T]], value: T) -> T:
    """Fold the tricks over the value, in written order."""
    return reduce(lambda current, trick: trick(current), tricks, value)


@dataclass(frozen=True, kw_only=True, repr=False)
class Stage:
    """One training of one network, or of several side by side.

    ``batch_size`` is global: all ranks and accumulation steps together. An epoch is as many draws
    as the training list has entries, also if a trick or sampler leaves some out, so equal epochs
    are equal budgets. ``input_size`` is in pixels; training crops cover ``min_crop_area`` to 1 of
    the image. ``start`` is the stage whose weights this one begins with, ``sees`` are those whose
    features and predictions its noise tricks may use, ``teachers`` those whose logits every batch
    carries. ``noise``, ``epoch``, ``model``, ``picture``, ``batch`` and ``loss`` are the stage's
    tricks, in order; those of hooks follow them. Stages that are equal in everything are one stage,
    trained once; another ``draw`` makes a second one with other random draws, as a member of an
    ensemble.

    ``networks`` are trained side by side on the same pictures, each with its own initial weights
    and optimiser; a loss sees the logits of the others. They are tested together. ``average`` keeps
    an average of the weights, which is tested beside them. ``views`` is the number of crops of each
    picture, ``clean`` that of pictures of the split "clean" at every step. Every ``refresh`` epochs
    the ``epoch`` tricks choose samples anew.

    ``weights`` is where the network begins if it does not ``start`` from a stage: the path of a
    file, "timm" or "timm:NAME" for weights that timm downloads; None draws them at random.

    Batch norm takes its statistics over the micro-batch of all ranks or, with ``norm_group``, over
    each group of that many consecutive samples of the batch, without communication; batch and loss
    tricks then see one group at a time.

    ``compile`` trains the network through ``torch.compile``; rounding differs, and so do the draws
    of dropout.
    """

    name: str
    backbone: str = "resnet50"
    input_size: int = 224
    epochs: int = 90
    batch_size: int = 256
    lr: float = 0.1
    optimizer: Optimizer = field(default_factory=Sgd)
    groups: Groups = field(default_factory=Groups)
    schedule: Schedule = field(default_factory=WarmupCosine)
    sampler: Sampler = field(default_factory=Uniform)
    precision: Precision = "fp32"
    accumulation: int = 1
    norm_group: int | None = None
    clip_norm: float | None = None
    min_crop_area: float = 0.08
    compile: bool = False
    networks: int = 1
    average: Average | None = None
    views: int = 1
    clean: int = 0
    refresh: int = 1
    weights: str | None = None
    start: Stage | None = None
    head: Literal["keep", "new"] = "keep"
    sees: tuple[Stage, ...] = ()
    teachers: tuple[Stage, ...] = ()
    draw: int = 0
    noise: tuple[Trick[Samples], ...] = ()
    epoch: tuple[Trick[Samples], ...] = ()
    model: tuple[Trick[Module], ...] = ()
    picture: tuple[Trick[Picture], ...] = ()
    batch: tuple[Trick[Batch], ...] = ()
    loss: tuple[Trick[Loss], ...] = ()

    @property
    def parents(self) -> tuple[Stage, ...]:
        """The earlier stages that decide this one's result, each once."""
        start = (self.start,) if self.start else ()
        return tuple({stage.name: stage for stage in (*start, *self.sees, *self.teachers)}.values())

    def __repr__(self) -> str:
        """Return the name only: tricks and other stages refer to stages."""
        return f"Stage({self.name!r})"


def is_downloaded(weights: str) -> bool:
    """Return whether ``Stage.weights`` names weights that timm downloads, not a file."""
    return weights == "timm" or weights.startswith("timm:")


Corner: TypeAlias = Literal["center", "top_left", "top_right", "bottom_left", "bottom_right"]


@dataclass(frozen=True, kw_only=True)
class View:
    """One view of a test image: short side resized, a square cropped, maybe mirrored.

    ``short_side`` and ``size`` are in pixels; the square is ``size`` wide.
    """

    short_side: int
    size: int
    crop: Corner = "center"
    flip: bool = False

    def __post_init__(self) -> None:
        """Check that the square fits into the resized image."""
        if not 0 < self.size <= self.short_side:
            raise PluginError(
                f"a view of {self.size} pixels needs a short side of at least as many, "
                f"not {self.short_side}"
            )


Views: TypeAlias = tuple[View, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The stages of a method, parents first.

    ``members`` are the stages that are tested together, their predictions joined by ``combine``;
    without members the last stage is tested alone. ``testing`` are the method's tricks on the
    views of a test image; those of hooks follow them.
    """

    stages: tuple[Stage, ...]
    members: tuple[Stage, ...] = ()
    combine: Combine = "mean"
    testing: tuple[Trick[Views], ...] = ()


class Picture(NamedTuple):
    """A training crop ``(H, W, 3)`` uint8 on its way into a batch, in a thread of the loader.

    ``view`` is its number among the picture's crops, from 0. Tricks draw only from ``seed``.
    """

    pixels: NDArray[np.uint8]
    seed: int
    view: int = 0


@dataclass(frozen=True, kw_only=True)
class PictureEncoder:
    """Maps pictures into the space of a text encoder, as CLIP does.

    ``encode`` is given pictures ``(B, size, size, 3)`` uint8, and returns ``(B, D)`` float rows of
    length 1, with as many columns as the texts' rows. It is first called when pictures must be
    encoded, so that is the time to load weights.
    """

    size: int
    encode: Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class Networks(Protocol):
    """The stage's networks as they are at this step: evaluation mode, no gradient, no change."""

    def logits(self, images: Tensor) -> Tensor:
        """Return ``(M, B, K)`` for ``(B, C, H, W)`` images: this network's first."""
        ...

    def outputs(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return all outputs of this network, "logits" among them."""
        ...

    def averaged(
        self, images: Tensor, peer: int = 0, *, batch_statistics: bool = False
    ) -> Mapping[str, Tensor]:
        """Return the outputs, "logits" among them, of this network's averaged weights.

        ``peer`` 1 asks those of the stage's next network, in its order and round. With
        ``batch_statistics`` batch norm uses those of ``images``, as in training, and keeps its own
        as they are: averaged ones lag behind by as many steps as the average reaches. Raises
        PluginError if the stage has no ``average``, or not so many networks.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The input of one step.

    ``images`` is ``(B, C, H, W)``, uint8 until it is on the device and normalised float after;
    ``targets`` ``(B, K)``, ``weights`` ``(B,)``; ``index``, ``subset`` and ``source`` ``(B,)`` are
    the rows of ``Samples`` and two of their columns. Tricks draw random numbers only from ``seed``.
    ``teacher_logits`` ``(M, B, K)`` are the logits of the stage's M teachers for these images after
    the batch tricks, ``peer_logits`` those of its other networks, without gradient. ``views`` are
    the further crops of the pictures, each like ``images``. ``clean`` is a batch of the split
    "clean", the same in every rank.

    ``progress`` is the share of the stage that is done, ``epoch`` the number of finished epochs,
    ``network`` that of the network, from 0; ``networks`` answers for other images. ``outputs`` is
    what the network returned beside the logits, for the loss; ``extra`` is what batch tricks worked
    out for each sample, ``(B, ...)``. ``state`` holds the batch's rows of what the stage's tricks
    keep for each sample, ``shared`` what they keep for all.
    """

    images: Tensor
    targets: Tensor
    weights: Tensor
    index: Tensor
    seed: int
    subset: Tensor = None  # type: ignore[assignment]  # zeros, made from the index
    source: Tensor = None  # type: ignore[assignment]
    teacher_logits: Tensor | None = None
    peer_logits: Tensor | None = None
    views: tuple[Tensor, ...] = ()
    clean: Batch | None = None
    progress: float = 0.0
    epoch: int = 0
    network: int = 0
    networks: Networks | None = None
    outputs: Mapping[str, Tensor] = field(default_factory=dict)
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    state: Mapping[str, Tensor] = field(default_factory=dict)
    shared: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put zeros in the columns that were not given."""
        for name in ("subset", "source"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, self.index.new_zeros(len(self.index)))


class Loss(Protocol):
    """Maps logits ``(B, K)`` and a batch to one value per sample, ``(B,)``."""

    def __call__(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the loss of every sample, unweighted."""
        ...


@dataclass(frozen=True, kw_only=True)
class State:
    """Something that a batch or loss trick keeps over the steps of a stage.

    ``initial`` is ``(N, ...)``, a row for each sample, or any tensor if it is not ``per_sample``.
    With ``lr`` it is trained by gradient descent with that fixed rate; otherwise the trick's
    ``update`` gives new values. It is part of every checkpoint and equal in all ranks.
    """

    initial: Tensor
    per_sample: bool = True
    lr: float | None = None


class Stateful(Protocol):
    """A batch or loss trick that keeps something: what it declares and how that changes.

    A step reads the state as it was before the step. ``update`` is optional if everything is
    trained. It is called once a step, in every rank, with the whole global batch of all ranks but
    its pictures: ``outputs`` ``(B, ...)`` by name, "logits" among them, without gradient.
    """

    def state(self, samples: Samples) -> Mapping[str, State]:
        """Return what is kept, by names that no other trick of the stage uses."""
        ...

    def update(self, outputs: Mapping[str, Tensor], batch: Batch) -> Mapping[str, Tensor]:
        """Return new rows ``(B, ...)`` of what is kept for each sample, and new shared tensors."""
        ...
