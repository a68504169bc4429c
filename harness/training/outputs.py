"""What a network returns: logits alone, or a mapping that has them among other outputs."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

LOGITS = "logits"


def logits_of(answer: Tensor | Mapping[str, Tensor]) -> Tensor:
    """Return the logits ``(B, K)`` of a network's answer."""
    return answer if isinstance(answer, Tensor) else answer[LOGITS]


def with_logits(logits: Tensor, others: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return all outputs of a network by name."""
    return {LOGITS: logits, **others}


def others_of(answer: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a network's outputs beside the logits, as floats; none if it returned a tensor."""
    if isinstance(answer, Tensor):
        return {}
    return {name: tensor.float() for name, tensor in answer.items() if name != LOGITS}
