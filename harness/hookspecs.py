"""Every hook on one page: provide (exactly one answers), contribute (any number), observe.

A plugin is an object whose methods, marked ``@hookimpl``, carry these names; each may take any
subset of the arguments, by name. ``docs/hooks.md`` has an example of each.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch.nn import Module

    from harness.samples import Samples, StageOutputs
    from harness.spec import RunSpec
    from harness.store.record import ResultRecord
    from harness.values import Batch, Loss, Picture, PictureEncoder, Plan, Stage, Trick, Views

F = TypeVar("F", bound="Callable[..., Any]")

hookspec = pluggy.HookspecMarker("harness")


def hookimpl(function: F) -> F:
    """Mark a method as the implementation of the hook of its name."""
    return pluggy.HookimplMarker("harness")(function)


class Provide:
    """Exactly one active plugin answers; two are an error that names them."""

    @hookspec(firstresult=True)
    def load_samples(self, spec: RunSpec, split: str) -> Samples:  # type: ignore[empty-body]
        """Return the samples of ``split``: "train", "val", "test", or "clean" if it has one."""

    @hookspec(firstresult=True)
    def plan(self, spec: RunSpec) -> Plan:  # type: ignore[empty-body]
        """Return the method's stages at the published full size."""

    @hookspec(firstresult=True)
    def build_model(  # type: ignore[empty-body]
        self, spec: RunSpec, stage: Stage, num_outputs: int
    ) -> Module:
        """Return a network of ``stage.backbone`` with freshly drawn weights."""

    @hookspec
    def encode_texts(
        self, spec: RunSpec, encoder: str, texts: Sequence[str]
    ) -> NDArray[np.float32] | None:
        """Return ``(N, D)`` vectors of length 1, or None if it does not know ``encoder``."""

    @hookspec
    def picture_encoder(self, spec: RunSpec, encoder: str) -> PictureEncoder | None:
        """Return what maps pictures to the vectors' space of ``encoder``, or None if nothing does.

        Only the plugin that provides ``encode_texts`` for it is asked.
        """

    @hookspec
    def load_truth(self, spec: RunSpec, samples: Samples) -> NDArray[np.int32] | None:
        """Return the true class of every training sample, -1 for none, or None if unknown."""

    @hookspec
    def network_identity(self, spec: RunSpec, stage: Stage) -> object:
        """Return what decides a network beyond the knobs and sources of who builds it."""

    @hookspec
    def encoder_identity(self, spec: RunSpec, encoder: str) -> object | None:
        """Return what identifies ``encoder``, or None if another plugin provides it."""


class Contribute:
    """Any number of active plugins answer; joined in the order in which the run names them."""

    @hookspec
    def stage_tricks(  # type: ignore[empty-body]
        self, spec: RunSpec, stage: Stage
    ) -> Sequence[Trick[Stage]]:
        """Return what changes a stage: a data set's profile."""

    @hookspec
    def noise_tricks(  # type: ignore[empty-body]
        self, spec: RunSpec, stage: Stage
    ) -> Sequence[Trick[Samples]]:
        """Return what selects, weighs or relabels the training samples of a stage."""

    @hookspec
    def epoch_tricks(  # type: ignore[empty-body]
        self, spec: RunSpec, stage: Stage
    ) -> Sequence[Trick[Samples]]:
        """Return what does so between epochs, from the networks' outputs as they are then."""

    @hookspec
    def model_tricks(  # type: ignore[empty-body]
        self, spec: RunSpec, stage: Stage
    ) -> Sequence[Trick[Module]]:
        """Return what changes the network of a stage."""

    @hookspec
    def picture_tricks(  # type: ignore[empty-body]
        self, spec: RunSpec, stage: Stage
    ) -> Sequence[Trick[Picture]]:
        """Return what changes a training crop in the loader's threads."""

    @hookspec
    def batch_tricks(  # type: ignore[empty-body]
        self, spec: RunSpec, stage: Stage
    ) -> Sequence[Trick[Batch]]:
        """Return what changes a batch on the device."""

    @hookspec
    def loss_tricks(  # type: ignore[empty-body]
        self, spec: RunSpec, stage: Stage
    ) -> Sequence[Trick[Loss]]:
        """Return what wraps or replaces cross-entropy."""

    @hookspec
    def testing_tricks(self, spec: RunSpec) -> Sequence[Trick[Views]]:  # type: ignore[empty-body]
        """Return what multiplies the views of a test image."""

    @hookspec
    def metrics(  # type: ignore[empty-body]
        self,
        spec: RunSpec,
        samples: Samples,
        handled: Mapping[str, Samples],
        outputs: Callable[[str], StageOutputs],
    ) -> Mapping[str, float]:
        """Return numbers about a finished run, for its record; called in every rank."""


class Observe:
    """Any number of active plugins observe, on rank 0; what they return is ignored."""

    @hookspec
    def on_run_start(self, spec: RunSpec, plan: Plan) -> None:
        """Note that the stages of ``plan`` are about to be trained."""

    @hookspec
    def on_stage_start(self, stage: Stage, steps: int, first_step: int) -> None:
        """Note that a stage of ``steps`` steps begins or resumes at ``first_step``."""

    @hookspec
    def on_step_end(self, stage: Stage, step: int, scalars: Mapping[str, float]) -> None:
        """Read the scalars after ``step`` steps: loss, lr, images_per_second, epoch, ..."""

    @hookspec
    def on_batch(self, stage: Stage, step: int, batch: Batch, network: Module) -> None:
        """Look at a batch after its tricks, and the network: the first step, and each epoch's last.

        Neither may be changed.
        """

    @hookspec
    def on_stage_end(self, stage: Stage, scalars: Mapping[str, float]) -> None:
        """Note that a stage is finished; ``cached`` is 1.0 if it was finished before."""

    @hookspec
    def on_run_end(self, record: ResultRecord) -> None:
        """Read the finished record."""


KINDS: tuple[type, ...] = (Provide, Contribute, Observe)
HOOKS = tuple(name for kind in KINDS for name in vars(kind) if not name.startswith("_"))


def hook_arguments(hook: str) -> tuple[str, ...]:
    """Return the names of the arguments that a hook is given."""
    spec = next(vars(kind)[hook] for kind in KINDS if hook in vars(kind))
    return tuple(inspect.signature(spec).parameters)[1:]
