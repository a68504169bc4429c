"""The two half steps of sharpness-aware minimisation, as one optimiser of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class SharpnessAware(Optimizer):
    """Climbs in one call of ``step``, returns and descends in the next.

    So every engine can drive it: it computes the gradient twice and calls ``step`` after each.
    Between the two calls the weights are those of the climb, which no checkpoint may hold.
    """

    def __init__(self, base: Optimizer, rho: float) -> None:
        self._base, self._rho = base, rho
        self._climbed: list[tuple[Tensor, Tensor]] = []
        super().__init__(base.param_groups, {})
        self.param_groups = base.param_groups  # one list: a learning rate set here is the base's
        self.state = base.state

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Climb to where the loss is largest nearby, or return from there and take the step.

        Raises ValueError for a closure, which would have to be called twice.
        """
        if closure is not None:
            raise ValueError("call step after each of the two gradients instead of a closure")
        if not self._climbed:
            self._climb()
            return
        for parameter, before in self._climbed:
            parameter.copy_(before)
        self._climbed = []
        self._base.step()

    def _climb(self) -> None:
        moved = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        if not moved:
            return
        norm = torch.nn.utils.get_total_norm([p.grad for p in moved if p.grad is not None])
        scale = self._rho / (norm + 1e-12)
        self._climbed = [(parameter, parameter.clone()) for parameter in moved]
        for parameter in moved:
            assert parameter.grad is not None
            parameter.add_(parameter.grad * scale)

    def zero_grad(self, set_to_none: bool = True) -> None:  # noqa: FBT001, FBT002 - torch's
        """Drop the gradients."""
        self._base.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimiser that takes the step."""
        return self._base.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from ``state``."""
        self._base.load_state_dict(state)
        self.param_groups, self.state = self._base.param_groups, self._base.state
