"""Networks whose training is compiled by ``torch.compile``, and whether this machine can."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
import warnings
from pathlib import Path

import torch
from torch import nn

from harness.errors import HarnessError
from harness.values import Stage

CXX = "clang++" if sys.platform == "darwin" else "g++"  # torch's own choice, unless CXX is set


def compiled(module: nn.Module, stage: Stage) -> nn.Module:
    """Return what computes the network's training pass: itself, or a compiled view of it.

    Both share weights and statistics. The network stays as it is, with the names of its state, and
    is scored as it is, so that val is scored by the arithmetic of the test.
    """
    if not stage.compile:
        return module
    # Inductor imports setuptools after DeepSpeed has imported distutils, which it replaces.
    warnings.filterwarnings("ignore", message=".*istutils", module="_distutils_hack")
    return torch.compile(module)  # type: ignore[return-value]


def check_compiler(stage: Stage, device: torch.device) -> None:
    """Raise HarnessError if a stage is to be compiled and this machine has no compiler for it."""
    if not stage.compile:
        return
    missing = _missing(device)
    if missing:
        raise HarnessError(
            f"stage {stage.name!r}: compile=true needs {' and '.join(missing)}; install it, or "
            "train with --stage compile=false"
        )


def _missing(device: torch.device) -> list[str]:
    """Return what is not here of that which torch's inductor starts while it compiles."""
    found = []
    if device.type == "cuda":
        if importlib.util.find_spec("triton") is None:
            found.append("the package triton")
        names = [os.environ["CC"]] if os.environ.get("CC") else ["gcc", "clang"]
        what = f"a C compiler ({' or '.join(names)}; CC names another)"
    else:
        names = [os.environ.get("CXX") or CXX]
        what = f"a C++ compiler ({names[0]}; CXX names another)"
    if not any(map(shutil.which, names)):
        found.append(what)
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        found.append("Python's headers (python3-dev)")
    return found
