"""The values that flow through a run, and the one function that folds tricks over them.

Shape letters, used in docstrings and as suffixes inside maths: N samples of a split, B batch, K
classes, C channels, H height, W width, D features, V views.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

from harness.errors import PluginError
from harness.samplers import Sampler, Uniform
from harness.samples import Samples
from harness.schedules import Schedule, WarmupCosine

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
else:
    Module = Any  # annotations of Stage are read at run time, and torch is heavy

T = TypeVar("T")
SLOTS = ("noise", "model", "batch", "loss")  # the tricks that ride on a stage
Trick: TypeAlias = Callable[[T], T]
Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]
Combine: TypeAlias = Literal["mean", "vote", "vote_mean_logits", "learned"]


def apply(tricks: Iterable[Trick[T]], value: T) -> T:
    """Fold the tricks over the value, in written order."""
    return reduce(lambda current, trick: trick(current), tricks, value)


@dataclass(frozen=True, kw_only=True)
class Sgd:
    """Stochastic gradient descent with momentum."""

    momentum: float = 0.9
    weight_decay: float = 1e-4
    nesterov: bool = True


@dataclass(frozen=True, kw_only=True, repr=False)
class Stage:
    """One training of one network.

    ``batch_size`` is global: all ranks and accumulation steps together. An epoch is as many draws
    as the training list has entries, also if a trick or sampler leaves some out, so equal epochs
    are equal budgets. ``input_size`` is in pixels; training crops cover ``min_crop_area`` to 1 of
    the image. ``start`` is the stage whose weights this one begins with, ``sees`` are those whose
    features and predictions its noise tricks may use, ``teachers`` those whose logits every batch
    carries. ``noise``, ``model``, ``batch`` and ``loss`` are the stage's tricks, in order; those
    of hooks follow them. Stages that are equal in everything are one stage, trained once;
    another ``draw`` makes a second one with other random draws, as a member of an ensemble.

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
    optimizer: Sgd = field(default_factory=Sgd)
    schedule: Schedule = field(default_factory=WarmupCosine)
    sampler: Sampler = field(default_factory=Uniform)
    precision: Precision = "fp32"
    accumulation: int = 1
    norm_group: int | None = None
    clip_norm: float | None = None
    min_crop_area: float = 0.08
    compile: bool = False
    start: Stage | None = None
    head: Literal["keep", "new"] = "keep"
    sees: tuple[Stage, ...] = ()
    teachers: tuple[Stage, ...] = ()
    draw: int = 0
    noise: tuple[Trick[Samples], ...] = ()
    model: tuple[Trick[Module], ...] = ()
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


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The input of one step.

    ``images`` is ``(B, C, H, W)``, uint8 until it is on the device and normalised float after;
    ``targets`` ``(B, K)``, ``weights`` ``(B,)`` and ``index`` ``(B,)``, rows of ``Samples``.
    Tricks draw random numbers only from ``seed``. ``teacher_logits`` ``(M, B, K)`` are the logits
    of the stage's M teachers for these images after the batch tricks.
    """

    images: Tensor
    targets: Tensor
    weights: Tensor
    index: Tensor
    seed: int
    teacher_logits: Tensor | None = None


class Loss(Protocol):
    """Maps logits ``(B, K)`` and a batch to one value per sample, ``(B,)``."""

    def __call__(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the loss of every sample, unweighted."""
        ...
