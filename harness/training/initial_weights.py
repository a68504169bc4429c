"""Pretrained weights of a stage: read from a file, and fitted to its network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import HarnessError

INNER = ("state_dict", "model", "module", "ema")  # under which training scripts save the weights
PREFIX = "module."  # as DistributedDataParallel names what it wraps
NAMED = 3  # names in an error


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors in a ``.safetensors`` file or one that ``torch.save`` wrote.

    Nothing else is unpickled. Raises HarnessError if the file cannot be read or holds no weights.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in more ways than the libraries name
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise HarnessError(
            f"weights={path} cannot be read as weights ({reason}); give a file of tensors by name, "
            "written by torch.save or safetensors"
        ) from error
    for name in INNER:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
            break
    tensors = (
        {str(name).removeprefix(PREFIX): t for name, t in found.items() if isinstance(t, Tensor)}
        if isinstance(found, Mapping)
        else {}
    )
    if not tensors:
        raise HarnessError(f"weights={path} holds no tensors by name")
    return tensors


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Put weights into a network; its classifier stays drawn if theirs has other classes.

    Raises HarnessError if any other tensor is missing, superfluous or of another shape.
    """
    own = module.state_dict()
    ask: Any = getattr(module, "get_classifier", None)
    head = ask() if callable(ask) else None
    prefixes = tuple(f"{name}." for name, part in module.named_modules() if part is head)
    fitting = dict(weights)
    if any(_differs(own, weights, name) for name in own if prefixes and name.startswith(prefixes)):
        fitting = {name: t for name, t in weights.items() if not name.startswith(prefixes)}
        fitting |= {name: tensor for name, tensor in own.items() if name.startswith(prefixes)}
    problems = {
        "lacks": [name for name in own if name not in fitting],
        "has besides": [name for name in fitting if name not in own],
        "has in another shape": [
            name for name in own if name in fitting and own[name].shape != fitting[name].shape
        ],
    }
    said = [f"{what} {_listed(names)}" for what, names in problems.items() if names]
    if said:
        raise HarnessError(
            f"{source} are not weights of this network: the file {'; it '.join(said)}; name the "
            "backbone that they were trained for"
        )
    module.load_state_dict(fitting)


def _differs(own: Mapping[str, Tensor], other: Mapping[str, Tensor], name: str) -> bool:
    return name not in other or own[name].shape != other[name].shape


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
