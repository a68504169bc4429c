"""Find out which training methods really work on noisy web images.

What a plugin, a script or a notebook needs can be imported from here; each name is loaded when it
is first used, so ``import harness`` costs nothing.

    import harness

    record = harness.run("malong_curriculum", data="synthweb:tiny", seed=1, model="B")
    harness.leaderboard(data="synthweb")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import compare as compare
    from harness.api import leaderboard as leaderboard
    from harness.api import plan as plan
    from harness.api import records as records
    from harness.api import run as run
    from harness.as_baseline import AsBaseline as AsBaseline
    from harness.averages import Ema as Ema
    from harness.averages import Swa as Swa
    from harness.errors import DataError as DataError
    from harness.errors import HarnessError as HarnessError
    from harness.errors import NoLabelsError as NoLabelsError
    from harness.errors import PluginError as PluginError
    from harness.hookspecs import hookimpl as hookimpl
    from harness.knobs import assumed as assumed
    from harness.knobs import published as published
    from harness.optimizers import AdamW as AdamW
    from harness.optimizers import Groups as Groups
    from harness.optimizers import Lamb as Lamb
    from harness.optimizers import Sam as Sam
    from harness.optimizers import Sgd as Sgd
    from harness.optimizers import TimmOptimizer as TimmOptimizer
    from harness.plans import Profile as Profile
    from harness.plans import in_tasks as in_tasks
    from harness.samplers import ClassBalanced as ClassBalanced
    from harness.samplers import Sampler as Sampler
    from harness.samplers import SquareRoot as SquareRoot
    from harness.samplers import SubsetBatches as SubsetBatches
    from harness.samplers import Uniform as Uniform
    from harness.samplers import Weighted as Weighted
    from harness.samplers import generator as generator
    from harness.samples import Predictions as Predictions
    from harness.samples import Samples as Samples
    from harness.samples import Targets as Targets
    from harness.samples import Text as Text
    from harness.samples import WebClass as WebClass
    from harness.samples import rows_by_class as rows_by_class
    from harness.schedules import Constant as Constant
    from harness.schedules import Part as Part
    from harness.schedules import Steps as Steps
    from harness.schedules import WarmupCosine as WarmupCosine
    from harness.spec import DataSpec as DataSpec
    from harness.spec import RunSpec as RunSpec
    from harness.values import Batch as Batch
    from harness.values import Loss as Loss
    from harness.values import Networks as Networks
    from harness.values import Picture as Picture
    from harness.values import PictureEncoder as PictureEncoder
    from harness.values import Plan as Plan
    from harness.values import Stage as Stage
    from harness.values import State as State
    from harness.values import Trick as Trick
    from harness.values import View as View
    from harness.values import Views as Views

__version__ = "0.1.0"

_NAMES = {
    "harness.api": ("compare", "leaderboard", "plan", "records", "run"),
    "harness.as_baseline": ("AsBaseline",),
    "harness.averages": ("Ema", "Swa"),
    "harness.errors": ("DataError", "HarnessError", "NoLabelsError", "PluginError"),
    "harness.hookspecs": ("hookimpl",),
    "harness.knobs": ("assumed", "published"),
    "harness.optimizers": ("AdamW", "Groups", "Lamb", "Sam", "Sgd", "TimmOptimizer"),
    "harness.plans": ("Profile", "in_tasks"),
    "harness.samplers": (
        *("ClassBalanced", "Sampler", "SquareRoot", "SubsetBatches", "Uniform", "Weighted"),
        "generator",
    ),
    "harness.samples": ("Predictions", "Samples", "Targets", "Text", "WebClass", "rows_by_class"),
    "harness.schedules": ("Constant", "Part", "Steps", "WarmupCosine"),
    "harness.spec": ("DataSpec", "RunSpec"),
    "harness.values": (
        *("Batch", "Loss", "Networks", "Picture", "PictureEncoder", "Plan", "Stage", "State"),
        *("Trick", "View", "Views"),
    ),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [*_HOMES]  # noqa: PLE0604 - a test holds the imports above to these names


def __getattr__(name: str) -> Any:
    """Load a name of ``__all__`` from its module (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
