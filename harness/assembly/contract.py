"""What each kind of trick must return; a run refuses anything else, naming plugin and trick."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np

from harness.assembly.calling import calling
from harness.errors import HarnessError, PluginError
from harness.samplers import Rows
from harness.samples import Samples
from harness.values import SLOTS, Batch, Picture, Stage, Trick, View

T = TypeVar("T")

KEPT = (
    *("split", "root", "files", "source", "query", "rank", "classes", "source_names"),
    *(
        "fingerprint",
        "edition",
        "store",
        "read_texts",
        "read_queries",
        "seen",
        "encode_texts",
        "encode_pictures",
        "divide",
        "epoch",
    ),
)
"""The fields of ``Samples`` that a noise trick must not change."""


@dataclass(frozen=True)
class Contribution(Generic[T]):
    """A trick, its plugin and stage; calling it checks what the trick returns."""

    plugin: str
    trick: Trick[T]
    slot: str
    stage: str = ""

    @property
    def who(self) -> str:
        """Plugin, trick and stage, as errors name them."""
        where = f" in stage {self.stage!r}" if self.stage else ""
        return f"plugin {self.plugin!r}: {type(self.trick).__name__}{where}"

    def __call__(self, value: T) -> T:
        """Return what the trick makes of ``value``; raises PluginError if that is not valid."""
        if isinstance(value, Picture):
            return cast("T", self._on_picture(value))
        try:
            with calling(self.who, hook=self.slot, draws=DRAWS[self.slot]):
                digest = samples_digest(value) if isinstance(value, Samples) else 0
                changed = self.trick(value)
        except HarnessError as error:
            if str(error).startswith(self.who):
                raise
            raise PluginError(f"{self.who}: {error}") from error
        if isinstance(value, Samples) and samples_digest(value) != digest:
            raise PluginError(
                f"{self.who} writes into the samples that it was given, in spite of their write "
                "protection; return samples.assign(weight=...) instead"
            )
        CHECKS[self.slot](self.who, value, changed)
        return changed

    def _on_picture(self, value: Picture) -> Picture:
        # In a thread: what ``calling`` compares is shared with the other threads.
        trick = cast("Trick[Picture]", self.trick)
        try:
            changed = trick(value)
        except Exception as error:  # a plugin's code can raise anything at all
            reason = str(error) if isinstance(error, HarnessError) else repr(error)
            raise PluginError(f"{self.who}: {reason}") from error
        check_picture(self.who, value, changed)
        return changed

    def __repr__(self) -> str:
        """As the trick is written."""
        return repr(self.trick)


def check_samples(who: str, before: Samples, after: object) -> None:
    """Refuse samples that are not those given, and what leaves nothing to train on."""
    if not isinstance(after, Samples):
        raise PluginError(f"{who} must return Samples, not {_shown(after)}")
    if len(after) != len(before):
        raise PluginError(
            f"{who} returns {len(after)} samples of {len(before)}; to leave one out, set its "
            "subset to -1"
        )
    for name in KEPT:
        if not _equal(getattr(before, name), getattr(after, name)):
            raise PluginError(
                f"{who} changes {name} of the samples; only label, weight, subset, targets and "
                "target_names may be changed"
            )
    left = after.subset >= 0
    if not left.any():
        raise PluginError(f"{who} leaves every sample out: all have subset -1")
    if not after.weight[left].any():
        raise PluginError(f"{who} gives weight 0 to every sample that is left")
    if after.targets is not None and not after.targets.weights[left].any():
        raise PluginError(f"{who} gives no target to any sample that is left")


def samples_digest(samples: Samples) -> int:
    """Return a checksum of what noise tricks can see and spoil: 1 s for 1 GB."""
    columns: list[Any] = [samples.label, samples.source, samples.query, samples.rank]
    columns += [samples.weight, samples.subset, *(samples.targets or ())]
    columns += [column for sight in samples.seen.values() for column in sight.predictions]
    digest = 0
    for column in columns:
        digest = zlib.crc32(np.ascontiguousarray(column).data, digest)
    return digest


def check_module(who: str, _: object, module: object) -> None:
    """Refuse what is not a network."""
    from torch.nn import Module

    if not isinstance(module, Module):
        raise PluginError(f"{who} must return a torch.nn.Module, not {_shown(module)}")


def check_picture(who: str, before: Picture, after: object) -> None:
    """Refuse pixels of another shape or type; costs a microsecond."""
    if not isinstance(after, Picture):
        raise PluginError(f"{who} must return a Picture, not {_shown(after)}")
    pixels = after.pixels
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.shape != before.pixels.shape
    ):
        raise PluginError(
            f"{who}: pixels must be uint8 {before.pixels.shape}, not {_shown(pixels)}"
        )


def check_batch(who: str, before: Batch, after: object) -> None:
    """Refuse a batch of other kinds or shapes; waits for no device, so every step can afford it."""
    import torch

    if not isinstance(after, Batch):
        raise PluginError(f"{who} must return a Batch, not {_shown(after)}")
    size = len(after.images) if isinstance(after.images, torch.Tensor) else 0
    wanted = {
        "images": (torch.float32, (size, *before.images.shape[1:2])),
        "targets": (torch.float32, (size, before.targets.shape[1])),
        "weights": (torch.float32, (size,)),
        "index": (torch.int64, (size,)),
        "subset": (torch.int64, (size,)),
        "source": (torch.int64, (size,)),
    }
    for name, (dtype, shape) in wanted.items():
        value = getattr(after, name)
        places = 2 if name == "images" else None  # height and width are the trick's choice
        if not isinstance(value, torch.Tensor) or value.dtype != dtype:
            raise PluginError(f"{who}: {name} must be a tensor of {dtype}, not {_shown(value)}")
        dimensions = 4 if name == "images" else len(shape)
        if value.ndim != dimensions or value.shape[:places] != shape or not size:
            raise PluginError(
                f"{who}: {name} of a batch of {size} images are {tuple(value.shape)}, "
                f"not {(*shape, 'H', 'W')[:dimensions]}"
            )
    for name, value in after.extra.items():
        if not isinstance(value, torch.Tensor) or len(value) != size:
            raise PluginError(
                f"{who}: extra {name!r} of a batch of {size} images is {_shown(value)}; it must be "
                "a tensor with a row for each"
            )
    if after.seed != before.seed:
        raise PluginError(f"{who} changes the seed of the batch, which later tricks draw from")


def check_batch_values(who: str, batch: Batch, samples: int | None = None) -> None:
    """Refuse numbers that train nothing or nonsense; reading them waits for the device."""
    for name in ("images", "targets", "weights"):
        if not getattr(batch, name).isfinite().all():
            raise PluginError(f"{who}: {name} of a batch are not all finite")
    for name in ("targets", "weights"):
        if getattr(batch, name).min() < 0:
            raise PluginError(f"{who}: {name} of a batch must not be negative")
    if batch.index.min() < 0 or (samples is not None and batch.index.max() >= samples):
        raise PluginError(f"{who}: index of a batch names rows that the samples do not have")


def check_loss(who: str, loss: object) -> None:
    """Refuse what cannot be called."""
    if not callable(loss):
        raise PluginError(f"{who} must return a function of (logits, batch), not {_shown(loss)}")


def check_loss_values(who: str, values: object, size: int) -> None:
    """Refuse anything but one float32 value per sample that a gradient can flow through."""
    import torch

    if not isinstance(values, torch.Tensor):
        raise PluginError(f"{who}: the loss must be a tensor, not {_shown(values)}")
    if values.shape != (size,):
        raise PluginError(
            f"{who}: the loss of {size} samples is {tuple(values.shape)}, not ({size},); return "
            "one value for each, without averaging"
        )
    if values.dtype != torch.float32:
        raise PluginError(f"{who}: the loss must be torch.float32, not {values.dtype}")
    if not values.requires_grad:
        raise PluginError(f"{who}: no gradient flows through the loss; do not detach it")


def check_logits(who: str, logits: object, shape: tuple[int, ...]) -> None:
    """Refuse anything but logits ``(B, K)``, alone or with other outputs ``(B, ...)``."""
    import torch

    if isinstance(logits, Mapping):
        for name, output in logits.items():
            if not isinstance(output, torch.Tensor) or output.shape[:1] != shape[:1]:
                raise PluginError(
                    f"{who}: output {name!r} must be a tensor with a row for each picture, "
                    f"not {_shown(output)}"
                )
        logits = logits.get("logits")
    if not isinstance(logits, torch.Tensor):
        raise PluginError(
            f"{who}: the network must return one tensor, or a mapping with 'logits', "
            f"not {_shown(logits)}"
        )
    if tuple(logits.shape) != shape or not logits.is_floating_point():
        raise PluginError(
            f"{who}: logits are {logits.dtype} {tuple(logits.shape)}, not floats {shape}"
        )


def check_views(who: str, _: object, views: object) -> None:
    """Refuse anything but a tuple of different views."""
    if not isinstance(views, tuple) or not all(isinstance(view, View) for view in views):
        raise PluginError(f"{who} must return a tuple of views, not {_shown(views)}")
    if not views:
        raise PluginError(f"{who} gives no views")
    if len(set(views)) < len(views):
        raise PluginError(f"{who} gives one view twice")


def check_stage(who: str, before: Stage, after: object) -> None:
    """Refuse a stage with another place among the others."""
    if not isinstance(after, Stage):
        raise PluginError(f"{who} must return a Stage, not {_shown(after)}")
    for name in ("name", "start", "sees", "teachers", "draw", *SLOTS):
        if getattr(before, name) != getattr(after, name):
            raise PluginError(f"{who} must not change a stage's {name}")


def check_rows(who: str, rows: object, size: int, samples: Samples) -> Rows:
    """Return the rows that a sampler drew; refuse others than ``size`` of those left in training.

    Costs 10 microseconds for a batch of 256.
    """
    if not isinstance(rows, np.ndarray) or rows.shape != (size,) or rows.dtype.kind != "i":
        raise PluginError(f"{who} must draw an array of {size} rows, not {_shown(rows)}")
    if rows.min() < 0 or rows.max() >= len(samples):
        raise PluginError(
            f"{who} draws rows from {rows.min()} to {rows.max()} of {len(samples)} samples"
        )
    if samples.subset[rows].min() < 0:
        raise PluginError(f"{who} draws a sample that is left out of training: its subset is -1")
    return rows


def check_factor(who: str, factor: object) -> float:
    """Return a schedule's factor; refuse one that is not a finite number from 0 up."""
    if not isinstance(factor, (int, float)) or not math.isfinite(factor) or factor < 0:
        raise PluginError(f"{who} must give a finite factor from 0 up, not {_shown(factor)}")
    return float(factor)


def check_share(who: str, share: object) -> float:
    """Return the share of the weights that enters an average; refuse one outside of [0, 1]."""
    if not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise PluginError(f"{who} must give a share from 0 to 1, not {_shown(share)}")
    return float(share)


def tricks_of(contributions: Iterable[Contribution[T]]) -> tuple[Trick[T], ...]:
    """Return the tricks without their plugins."""
    return tuple(contribution.trick for contribution in contributions)


def _shown(value: object) -> str:
    """Say in a few words what a value is."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{type(value).__name__} {value.dtype} {tuple(value.shape)}"
    return f"{value!r:.60}".replace("\n", " ")


def _equal(before: Any, after: Any) -> bool:
    if before is after:
        return True
    if isinstance(before, np.ndarray):
        return isinstance(after, np.ndarray) and np.array_equal(before, after)
    return type(before) is type(after) and bool(before == after)


CHECKS: dict[str, Callable[[str, Any, Any], None]] = {
    "stage_tricks": check_stage,
    "noise_tricks": check_samples,
    "epoch_tricks": check_samples,
    "model_tricks": check_module,
    "picture_tricks": check_picture,
    "batch_tricks": check_batch,
    "loss_tricks": lambda who, _, loss: check_loss(who, loss),
    "testing_tricks": check_views,
}
DRAWS: dict[str, tuple[str, ...] | None] = {
    "stage_tricks": (),
    "noise_tricks": (),
    "epoch_tricks": (),
    "model_tricks": ("torch",),  # seeded by the run before a network is built
    "picture_tricks": (),
    "batch_tricks": None,
    "loss_tricks": (),
    "testing_tricks": (),
}
"""What each kind of trick may draw from; see ``calling``."""
