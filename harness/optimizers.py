"""The optimisers that a stage can be trained with, and the learning rates of its parts.

An optimiser is a frozen dataclass with ``build(groups, lr)``; a plugin may bring another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

from harness.errors import PluginError

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer

ParameterGroups: TypeAlias = Sequence[dict[str, Any]]
"""torch's parameter groups: "params", "weight_decay" and "lr_scale", a factor of the rate."""


class Optimizer(Protocol):
    """Builds torch's optimiser for the groups of a network's parameters.

    ``passes`` is how often an update computes the gradient: 2 for sharpness-aware minimisation.
    """

    passes: ClassVar[int]

    @property
    def weight_decay(self) -> float:
        """The decay of weights; batch norm's and biases' parameters are not decayed."""
        ...

    def build(self, groups: ParameterGroups, lr: float) -> TorchOptimizer:
        """Return the optimiser; the loop sets each group's ``lr`` before every update."""
        ...


@dataclass(frozen=True, kw_only=True)
class Sgd:
    """Stochastic gradient descent with momentum.

    torch's fused kernel takes an eighth of the time of its default on a CPU.
    """

    momentum: float = 0.9
    weight_decay: float = 1e-4
    nesterov: bool = True
    passes: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Refuse values that torch would refuse, or train nonsense with, after minutes."""
        _check(self, momentum=1.0, weight_decay=math.inf)
        if self.nesterov and not self.momentum:
            raise PluginError("the optimizer's nesterov needs a momentum above 0")

    def build(self, groups: ParameterGroups, lr: float) -> TorchOptimizer:
        """Return torch's SGD, fused if all parameters allow it."""
        import torch

        return torch.optim.SGD(
            [dict(group) for group in groups],
            lr=lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            fused=is_fusible(groups) or None,
        )


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam with decoupled weight decay.

    **Source:** I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019;
    the defaults are torch's.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01
    passes: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        _check(self, weight_decay=math.inf)
        _check_betas(self.betas)

    def build(self, groups: ParameterGroups, lr: float) -> TorchOptimizer:
        """Return torch's AdamW, fused if all parameters allow it."""
        import torch

        return torch.optim.AdamW(
            [dict(group) for group in groups],
            lr=lr,
            betas=self.betas,
            eps=self.eps,
            fused=is_fusible(groups) or None,
        )


@dataclass(frozen=True, kw_only=True)
class Lamb:
    """Adam whose step is scaled, layer by layer, by the norm of the weights: timm's.

    **Source:** Y. You et al., "Large Batch Optimization for Deep Learning", ICLR 2020.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-6
    weight_decay: float = 0.01
    passes: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        _check(self, weight_decay=math.inf)
        _check_betas(self.betas)

    def build(self, groups: ParameterGroups, lr: float) -> TorchOptimizer:
        """Return timm's Lamb."""
        from timm.optim.lamb import Lamb as TimmLamb

        groups = [dict(group) for group in groups]
        return TimmLamb(groups, lr=lr, betas=self.betas, eps=self.eps)


@dataclass(frozen=True, kw_only=True)
class TimmOptimizer:
    """An optimiser of timm by its name, as "lion" or "adan"; ``options`` are its arguments."""

    name: str
    weight_decay: float = 0.0
    options: tuple[tuple[str, Any], ...] = ()
    passes: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        _check(self, weight_decay=math.inf)

    def build(self, groups: ParameterGroups, lr: float) -> TorchOptimizer:
        """Return the optimiser; raises PluginError if timm has none of this name."""
        import timm.optim

        known: Any = timm.optim

        if self.name not in known.list_optimizers():
            raise PluginError(
                f"timm has no optimiser {self.name!r}; timm.optim.list_optimizers() lists them"
            )
        kind: Any = known.get_optimizer_class(self.name)
        built: TorchOptimizer = kind([dict(g) for g in groups], lr=lr, **dict(self.options))
        return built


@dataclass(frozen=True, kw_only=True)
class Sam:
    """Sharpness-aware minimisation: the gradient is taken where the loss nearby is largest.

    ``rho`` is the distance, in the norm of all weights. An update computes two gradients, so a step
    costs twice as much; batch norm's running averages see the pictures twice.

    **Source:** P. Foret et al., "Sharpness-Aware Minimization", ICLR 2021, equation 2 and
    algorithm 1; rho 0.05 is their value for CIFAR and ImageNet.
    """

    base: Sgd = field(default_factory=Sgd)
    rho: float = 0.05
    passes: ClassVar[int] = 2

    def __post_init__(self) -> None:
        """Refuse a distance that is not above 0."""
        if not 0 < self.rho < math.inf:
            raise PluginError(f"the optimizer's rho must be above 0, not {self.rho!r}")

    @property
    def weight_decay(self) -> float:
        """That of the optimiser which makes the step."""
        return self.base.weight_decay

    def build(self, groups: ParameterGroups, lr: float) -> TorchOptimizer:
        """Return the base optimiser, which takes the step; the engine climbs before it."""
        return self.base.build(groups, lr)


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Which parts of a network are trained, and how fast.

    ``head`` multiplies the learning rate of the classifier; ``layer_decay`` multiplies it once more
    for every layer further from the classifier (timm's layer groups). ``trained`` "head" trains the
    classifier only, a linear probe: other parts keep weights and statistics, as do those whose
    names begin with one of ``frozen``.
    """

    head: float = 1.0
    layer_decay: float = 1.0
    trained: Literal["all", "head"] = "all"
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse factors that are not above 0."""
        for name in ("head", "layer_decay"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise PluginError(f"{name} of Groups must be above 0, not {value!r}")
        if self.trained not in ("all", "head"):
            raise PluginError(f"trained of Groups must be 'all' or 'head', not {self.trained!r}")


def is_fusible(groups: ParameterGroups) -> bool:
    """Return whether torch's fused kernels can update all parameters.

    They read memory in one pass, so tensors must be dense.
    """
    import torch

    def dense(p: torch.nn.Parameter) -> bool:
        return p.is_contiguous() or p.is_contiguous(memory_format=torch.channels_last)

    parameters = [parameter for group in groups for parameter in group["params"]]
    return all(
        p.device.type in ("cpu", "cuda") and p.is_floating_point() and dense(p) for p in parameters
    )


def _check(optimizer: object, **ends: float) -> None:
    for name, end in ends.items():
        value = getattr(optimizer, name)
        if not isinstance(value, (int, float)) or not 0 <= value < end:
            raise PluginError(f"the optimizer's {name} must be in [0, {end:g}), not {value!r:.80}")


def _check_betas(betas: tuple[float, float]) -> None:
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise PluginError(f"the optimizer's betas must be two numbers in [0, 1), not {betas!r:.80}")
