"""Networks by name: those of timm, and those of the decks that timm does not have."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from harness.errors import HarnessError, unknown
from harness.hookspecs import hookimpl
from harness.values import Stage

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True)
class TimmModels:
    """Every network of timm, Inception-v2 and ResNeXt-152, all untrained."""

    @hookimpl
    def build_model(self, stage: Stage, num_outputs: int) -> Module:
        """Return ``stage.backbone`` with ``num_outputs`` logits; raises HarnessError if unknown."""
        import timm

        import harness.networks.inception_v2
        import harness.networks.resnext152  # noqa: F401 - both register themselves with timm

        if not timm.is_model(stage.backbone):
            raise HarnessError(unknown("backbone", stage.backbone, timm.list_models()))
        model: Module = timm.create_model(stage.backbone, num_classes=num_outputs)
        return model

    @hookimpl
    def network_identity(self, stage: Stage) -> object:
        """Return timm's version, and the module that registered the network if it is foreign.

        To register a network, a plugin imports timm. If timm is not imported, all networks are
        timm's or the harness's, and timm need not be imported here.
        """
        registry = sys.modules.get("timm.models")
        module = ""
        if registry and registry.is_model(stage.backbone):
            module = registry.model_entrypoint(stage.backbone).__module__
        foreign = bool(module) and not module.startswith(("timm.", "harness.networks."))
        return (version("timm"), sys.modules[module] if foreign else None)
