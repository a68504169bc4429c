"""Batch norm whose result does not depend on the number of ranks."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.errors import HarnessError
from harness.training.ranks import Ranks, counted
from harness.values import Stage


def across_ranks(module: nn.Module, stage: Stage, ranks: Ranks) -> nn.Module:
    """Return the network with the batch norm that the stage asks for.

    With ``norm_group`` its statistics are those of that many consecutive samples, otherwise those
    of the micro-batch of all ranks. Names and values of the state are unchanged. On one rank and
    without ``norm_group`` the network is returned unchanged. Raises HarnessError if a batch norm of
    the network overrides ``forward``: it cannot be replaced.
    """
    if stage.norm_group is None and ranks.world_size == 1:
        return module
    _check_kinds(module, stage)
    group = stage.norm_group
    if group is not None:
        return _converted(module, lambda norm: GroupedBatchNorm(norm, group, stage.accumulation))
    if ranks.device.type == "cuda":
        from timm.layers import norm_act

        convert: Callable[[nn.Module], nn.Module] = norm_act.convert_sync_batchnorm
        return convert(module)
    return _converted(module, SyncBatchNormOnCpu)


def check_pictures(module: nn.Module, stage: Stage, world_size: int) -> None:
    """Raise HarnessError if batch norm would see one image at a time; its output is constant."""
    together = stage.norm_group or stage.batch_size // stage.accumulation
    if together > 1 or not any(isinstance(part, _BatchNorm) for part in module.modules()):
        return
    found = (
        f"norm_group={stage.norm_group}"
        if stage.norm_group
        else f"batch_size={stage.batch_size} over accumulation={stage.accumulation}"
    )
    raise HarnessError(
        f"stage {stage.name!r}: {found} leaves batch norm one picture at a time on "
        f"{counted(world_size)}, too few for statistics of a batch; choose at least two"
    )


class _OwnBatchNorm(_BatchNorm):
    """Replacement of a batch norm, with its parameters and statistics."""

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(
            norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
        )
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.train(norm.training)
        # timm's batch norm includes an activation.
        self.drop, self.act = getattr(norm, "drop", None), getattr(norm, "act", None)

    def forward(self, images: Tensor) -> Tensor:
        """Return the normalised activations; in training with the statistics of the batch."""
        output = self.normalised(images) if self.training else super().forward(images)
        for part in (self.drop, self.act):
            output = output if part is None else part(output)
        return output

    def normalised(self, images: Tensor) -> Tensor:
        """Normalise by the statistics of the batch and update the running ones."""
        raise NotImplementedError

    def _share(self) -> float:
        """Count a step; return the weight of its statistics in the running ones."""
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        if self.momentum is None:
            return 1.0 / int(self.num_batches_tracked)
        return self.momentum

    def _check_input_dim(self, images: Tensor) -> None:
        """Accept any number of dimensions; the replaced module checked nothing else."""


class GroupedBatchNorm(_OwnBatchNorm):
    """Batch norm over groups of ``group`` consecutive samples; nothing is communicated.

    The running statistics are updated once a step, towards the mean over all groups. The update is
    linear in that mean, so averaging over ranks gives the statistics that one rank would have.

    **Source:** "ghost batch norm": E. Hoffer et al., "Train longer, generalize better", NeurIPS
    2017; P. Goyal et al., "Accurate, Large Minibatch SGD", 2017, normalise over 32 samples of a
    GPU.
    """

    def __init__(self, norm: _BatchNorm, group: int, accumulation: int) -> None:
        super().__init__(norm)
        self._group, self._accumulation, self._micro_steps = group, accumulation, 0
        self._step_share = 0.0

    def normalised(self, images: Tensor) -> Tensor:
        """Normalise group by group."""
        parts, means, variances = [], [], []
        for part in torch.split(images, self._group):
            # With momentum 1 they become the group's own mean and unbiased variance.
            mean = images.new_zeros(self.num_features, dtype=torch.float32)
            variance = torch.zeros_like(mean)
            parts.append(
                nn.functional.batch_norm(
                    part,
                    mean,
                    variance,
                    self.weight,
                    self.bias,
                    training=True,
                    momentum=1.0,
                    eps=self.eps,
                )
            )
            means.append(mean)
            variances.append(variance)
        if self.track_running_stats:
            self._learn(torch.stack(means).mean(0), torch.stack(variances).mean(0))
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _learn(self, mean: Tensor, variance: Tensor) -> None:
        if self._micro_steps == 0:
            self._step_share = self._share()
        for running, of_batch in ((self.running_mean, mean), (self.running_var, variance)):
            assert running is not None
            if self._micro_steps == 0:
                running.mul_(1 - self._step_share)
            running.add_(of_batch, alpha=self._step_share / self._accumulation)
        self._micro_steps = (self._micro_steps + 1) % self._accumulation


class SyncBatchNormOnCpu(_OwnBatchNorm):
    """Batch norm over the micro-batch of all ranks; torch's own module refuses tensors on a CPU.

    All ranks hold the same number of samples. The moments are exchanged in 64 bits because they
    are subtracted.
    """

    def normalised(self, images: Tensor) -> Tensor:
        """Normalise by the statistics of all ranks, through which gradients flow."""
        ranks = dist.get_world_size()
        values = images.float()
        variance, mean = torch.var_mean(values, (0, *range(2, images.ndim)), correction=0)
        variance, mean = variance.double(), mean.double()
        local = torch.stack([mean, variance + mean.square()])
        mean, square = _SumOverRanks.apply(local) / ranks
        variance = (square - mean.square()).clamp(min=0)
        if self.track_running_stats:
            count = ranks * images.numel() // images.shape[1]
            self._learn(mean.detach(), variance.detach() * (count / max(count - 1, 1)))
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight
        shift = -mean * scale
        if self.affine:
            shift = shift + self.bias
        place = (-1, *(1 for _ in range(images.ndim - 2)))
        output: Tensor = values * scale.float().view(place) + shift.float().view(place)
        return output.to(images.dtype)

    def _learn(self, mean: Tensor, variance: Tensor) -> None:
        share = self._share()
        for running, of_batch in ((self.running_mean, mean), (self.running_var, variance)):
            assert running is not None
            running.lerp_(of_batch.to(running.dtype), share)


class _SumOverRanks(torch.autograd.Function):
    """Adds up a tensor over the ranks, and its gradients on the way back.

    The one in torch.distributed.nn is deprecated since torch 2.14.
    """

    @staticmethod
    def forward(ctx: object, tensor: Tensor) -> Tensor:  # noqa: ARG004 - autograd's signature
        """Return the sum, in every rank."""
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # noqa: ARG004
        """Return the sum of the gradients: this rank's tensor is part of every rank's sum."""
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _check_kinds(module: nn.Module, stage: Stage) -> None:
    from timm.layers import norm_act

    kinds = (_BatchNorm, nn.SyncBatchNorm, norm_act.BatchNormAct2d, norm_act.SyncBatchNormAct)
    known: set[object] = {kind.forward for kind in kinds}
    for name, part in module.named_modules():
        if isinstance(part, _BatchNorm) and type(part).forward not in known:
            raise HarnessError(
                f"stage {stage.name!r}: {name} of its network is a {type(part).__name__}, an "
                "unknown kind of batch norm, which cannot be grouped or synchronised over ranks; "
                "train on one rank and without norm_group"
            )


def _converted(module: nn.Module, convert: Callable[[_BatchNorm], nn.Module]) -> nn.Module:
    """Replace every batch norm of a network; one module used in several places stays one."""
    made = {part: convert(part) for part in module.modules() if isinstance(part, _BatchNorm)}
    for name, part in list(module.named_modules(remove_duplicate=False)):
        if name and isinstance(part, _BatchNorm):
            module.set_submodule(name, made[part])
    return made[module] if isinstance(module, _BatchNorm) else module
