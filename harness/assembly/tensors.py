"""What arrays, tensors and their types hold, without importing numpy or torch for asking."""

from __future__ import annotations

import hashlib
import sys
from typing import Any

ADDRESSES = "OT"  # numpy's codes of types whose bytes are addresses: objects, texts of any length
LONG_DOUBLES = "gG"  # some of their bytes are unused, and anything at all


def is_of_tensors(value: object) -> bool:
    """Whether a value is numpy's or torch's: an array, a tensor, a scalar, a type or a device."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy and isinstance(value, (numpy.ndarray, numpy.generic, numpy.dtype)):
        return True
    return bool(torch and isinstance(value, (torch.Tensor, torch.dtype, torch.device)))


def described_tensors(value: Any) -> Any | None:
    """Return a JSON-able description of such a value; None if it has no fixed one.

    An array or a tensor is its type, shape and bytes, on any device. Subclasses (except
    memory-mapped arrays and parameters), arrays of objects, sparse, quantised and meta tensors
    have no fixed description.
    """
    import numpy as np

    if isinstance(value, np.dtype):
        return {"dtype": _dtype(value)} if _is_plain(value) else None
    if isinstance(value, np.generic) or type(value) in (np.ndarray, np.memmap):
        return _array(value) if _is_plain(value.dtype) else None
    if isinstance(value, np.ndarray):
        return None
    return _of_torch(value)


def _is_plain(dtype: Any) -> bool:
    return not dtype.hasobject and dtype.char not in (*ADDRESSES, *LONG_DOUBLES)


def _dtype(dtype: Any) -> list[str]:
    from numpy.lib.format import dtype_to_descr

    return [dtype.name, repr(dtype_to_descr(dtype))]


def _array(value: Any) -> Any:
    kind = "scalar" if value.shape == () and not hasattr(value, "setflags") else "array"
    digest = hashlib.sha256(value.tobytes()).hexdigest()
    return {kind: [*_dtype(value.dtype), list(value.shape), digest]}


def _of_torch(value: Any) -> Any | None:
    import torch

    if not isinstance(value, torch.Tensor):
        return {"torch": str(value)}
    plain = type(value) in (torch.Tensor, torch.nn.Parameter)
    if not plain or value.layout is not torch.strided or value.is_quantized or value.is_meta:
        return None
    here = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
    digest = hashlib.sha256(here.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()
    about = [str(value.dtype), list(value.shape), value.requires_grad]
    return {type(value).__name__.lower(): [*about, digest]}
