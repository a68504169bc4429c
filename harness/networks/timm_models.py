"""Networks by name: those of timm, and those of the decks that timm does not have."""

from __future__ import annotations

import hashlib
import socket
import sys
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness import downloads
from harness.errors import HarnessError, unknown
from harness.hookspecs import hookimpl
from harness.values import Stage, is_downloaded

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True)
class TimmModels:
    """Every network of timm, Inception-v2 and ResNeXt-152; untrained, or with timm's weights."""

    @hookimpl
    def build_model(self, stage: Stage, num_outputs: int) -> Module:
        """Return ``stage.backbone`` with ``num_outputs`` logits; raises HarnessError if unknown.

        With ``stage.weights`` "timm" or "timm:NAME" it has the weights that timm downloads, but a
        classifier of random weights. Raises HarnessError if they cannot be had.
        """
        import timm

        import harness.networks.inception_v2
        import harness.networks.resnext152  # noqa: F401 - both register themselves with timm

        if not timm.is_model(stage.backbone):
            raise HarnessError(unknown("backbone", stage.backbone, timm.list_models()))
        if stage.weights is not None and is_downloaded(stage.weights):
            return _pretrained(stage, num_outputs)
        model: Module = timm.create_model(stage.backbone, num_classes=num_outputs)
        return model

    @hookimpl
    def network_identity(self, stage: Stage) -> object:
        """Return timm's version, and the module that registered the network if it is foreign.

        Of weights that timm downloads, the digest of their content. To register a network, a plugin
        imports timm. If timm is not imported, all networks are timm's or the harness's, and timm
        need not be imported here.
        """
        registry = sys.modules.get("timm.models")
        module = ""
        if registry and registry.is_model(stage.backbone):
            module = registry.model_entrypoint(stage.backbone).__module__
        foreign = bool(module) and not module.startswith(("timm.", "harness.networks."))
        about = (_timms_version(), sys.modules[module] if foreign else None)
        if stage.weights is None or not is_downloaded(stage.weights):
            return about
        return (*about, _digest(stage.backbone, stage.weights))


def _pretrained(stage: Stage, num_outputs: int | None = None) -> Module:
    """Return the network with timm's weights, and its own classifier if ``num_outputs`` is None."""
    import timm

    name = (stage.weights or "").partition(":")[2] or stage.backbone
    if name.partition(".")[0] != stage.backbone:
        raise HarnessError(
            f"weights={stage.weights} are of another network than backbone "
            f"{stage.backbone!r}; name both alike"
        )
    classes: dict[str, Any] = {} if num_outputs is None else {"num_classes": num_outputs}
    try:
        _check_network(name)
        model: Module = timm.create_model(name, pretrained=True, **classes)
    except Exception as error:  # of the hub, of requests, of timm: no common type
        reason = " ".join(str(error).split())[:200]
        raise HarnessError(
            f"weights={stage.weights}: timm cannot load those of {name!r}: {reason}; download them "
            "where there is a network, or give a file: --stage weights=FILE"
        ) from error
    return model


def _check_network(name: str) -> None:
    """Raise OSError if weights must be downloaded and may not be, or the hub is not found.

    The hub's client would try again for a minute.
    """
    from huggingface_hub import constants, try_to_load_from_cache
    from timm.models import get_pretrained_cfg

    about: Any = get_pretrained_cfg(name)
    if about is None or not (about.hf_hub_id or about.url):
        return
    files = ("model.safetensors", "pytorch_model.bin")
    hub = about.hf_hub_id
    if hub and any(isinstance(try_to_load_from_cache(hub, file), str) for file in files):
        return
    if not downloads.allowed():
        raise OSError(f"{hub or about.url} is not in the cache ({downloads.REFUSED})")
    if not hub:
        return
    host = urlsplit(constants.ENDPOINT).hostname or ""
    try:
        socket.getaddrinfo(host, 443)
    except OSError as error:
        raise OSError(f"{hub} is not in the cache and {host} is not found") from error


@lru_cache(maxsize=8)
def _digest(backbone: str, weights: str) -> str:
    """Return the sha256 of the content of weights that timm downloads."""
    model = _pretrained(Stage(name="weights", backbone=backbone, weights=weights))
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


@cache  # each stage of each run asks, and the distribution's metadata are parsed each time
def _timms_version() -> str:
    return version("timm")
