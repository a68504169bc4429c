"""Pictures against texts, from data to record, by the encoder of a third party."""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data.pictures.loader import Pictures
from harness.data.synthweb import SynthWeb
from harness.spec import DataSpec, RunSpec
from harness.store.record import ResultRecord
from harness.store.record_files import read_record
from harness.values import View

pytestmark = pytest.mark.slow

Call = Callable[..., Any]
SIDE = 24
DATA = ("--data", "synthweb:tiny", "--stage", "epochs=1", "--engine", "torch", "--set", "crops=1")
METHOD = ("--plugin", "external_scores")
PICTURES = (*METHOD, "--set", "scores=picture_class")

# It knows what each picture shows, and adds what a batch of a real network adds: last digits.
SEES = """
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
import weakref
import numpy as np
from harness import PictureEncoder, hookimpl

SHOWN = Path(__file__).with_name("shown.json")
CALLS = Path(__file__).with_name("calls.txt")


class Eyes:
    made = weakref.WeakSet()

    def __init__(self, names):
        self.made.add(self)
        self.names = names
        self.shown = json.loads(SHOWN.read_text())

    def texts(self, texts):
        named = [[float(name in text) for name in self.names] for text in texts]
        return np.array(named).reshape(len(texts), len(self.names))

    def pictures(self, pixels):
        with CALLS.open("a") as calls:
            print(len(pixels), file=calls)
        names = [self.shown[hashlib.sha256(one).hexdigest()] for one in pixels]
        blur = 1e-4 * pixels.mean() / 255
        found = blur + np.array([[float(name == own) for own in self.names] for name in names])
        return {answer}


@dataclass(frozen=True)
class Plugin:
    "Knows what pictures show."
    encoders = ("sees",)
    reads = SHOWN

    @hookimpl
    def encode_texts(self, encoder, texts):
        return unit(self._eyes().texts(texts)) if encoder == "sees" else None

    @hookimpl
    def encoder_identity(self, encoder):
        return "sees" if encoder == "sees" else None

    @hookimpl
    def picture_encoder(self, encoder):
        if encoder == "sees":
            return PictureEncoder(size={side}, encode=self._eyes().pictures)

    @hookimpl
    def on_stage_start(self):
        SHOWN.with_name("eyes.txt").write_text(str(len(Eyes.made)))

    def _eyes(self):
        return Eyes(("crane", "flamingo", "American egret", *{others}, "nothing"))


def unit(rows):
    rows = rows + 1e-3 * (rows.sum(axis=1, keepdims=True) == 0)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
"""


# Whether it knows an encoder, only encoding tells.
SILENT = """
import numpy as np
from harness import hookimpl

class Plugin:
    "Encodes texts only."
    encoders = ("letters",)

    @hookimpl
    def encode_texts(self, encoder, texts):
        return np.ones((len(texts), 1)) if encoder == "letters" else None
"""

ASKS = """
from dataclasses import dataclass
from harness import Plan, Stage, hookimpl

@dataclass(frozen=True)
class Look:
    encoder: str = "sees"

    def __call__(self, samples):
        samples.picture_vectors(self.encoder, samples.label.nonzero()[0])
        return samples

class Plugin:
    "A method whose noise trick does not say that it encodes pictures."

    @hookimpl
    def plan(self):
        return Plan(stages=(Stage(name="train", epochs=1, noise=(Look(),)),))
"""


@pytest.fixture
def sees(install: Callable[..., Path], tiny_home: Path) -> Callable[..., Path]:
    """Install an encoder that knows the truth; what else it answers is up to the test."""
    spec = RunSpec(plugin="baseline", data=DataSpec(name="synthweb", path="tiny"), home=tiny_home)
    samples = SynthWeb().load_samples(spec, "train")
    truth = SynthWeb().load_truth(samples)
    assert truth is not None
    names = [known.lemmas.partition(",")[0] for known in samples.classes]
    views = (View(short_side=SIDE, size=SIDE),)
    (pixels,) = Pictures(samples, report=print).test_batch(np.arange(len(samples)), views)
    shown = {
        hashlib.sha256(one).hexdigest(): names[true] if true >= 0 else "nothing"
        for one, true in zip(pixels, truth.tolist(), strict=True)
    }

    def write(answer: str = "unit(found)") -> Path:
        source = SEES.replace("{side}", str(SIDE)).replace("{others}", repr(tuple(names[3:])))
        module = install("sees", source.replace("{answer}", answer))
        module.with_name("shown.json").write_text(json.dumps(shown))
        return module

    return write


def calls(module: Path) -> list[int]:
    """The numbers of pictures of the calls until now."""
    path = module.with_name("calls.txt")
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.fixture
def run(call: Call, tiny_home: Path) -> Callable[..., ResultRecord]:
    """Run the method with these options, and return the record that it made."""

    def made(*options: str, scores: str = "picture_class") -> ResultRecord:
        before = set(tiny_home.glob("records/*.json"))
        ended = call("run", *METHOD, "--set", f"scores={scores}", *WITH, *DATA, *options)
        assert ended.status == 0, ended
        (path,) = set(tiny_home.glob("records/*.json")) - before
        return read_record(path)

    return made


WITH = ("--with", "sees", "--set", "encoder=sees")


def test_what_pictures_do_not_show_is_left_out(
    sees: Callable[..., Path], tiny_home: Path, run: Callable[..., ResultRecord]
) -> None:
    module = sees()
    (weighed,) = run("--set", "use=weigh").noise
    assert weighed.auc is not None
    assert weighed.auc > 0.999  # ranks are within classes: their shares of wrong labels differ
    assert weighed.kept == 1
    assert calls(module) == [64, 64, 64, 64, 44]

    # The pictures are known by then, whatever is done with the scores.
    record = run("--set", "share=0.5")
    assert [stage.name for stage in record.stages] == ["retrain"]
    (selected,) = record.noise
    assert selected.clean == pytest.approx(0.71, abs=0.001)
    assert selected.kept == pytest.approx(0.5, abs=0.02)
    assert selected.precision is not None
    assert selected.precision > 0.95  # a class may have less than half of its labels right
    assert len(calls(module)) == 5

    # What the encoder reads is part of it, in the key and in the cache.
    shown = module.with_name("shown.json")
    shown.write_text(shown.read_text().replace("flamingo", "nothing"))
    (other,) = run("--set", "share=0.5").noise
    assert other.precision is not None
    assert other.precision < selected.precision
    assert len(calls(module)) == 10
    assert len(list((tiny_home / "stages").iterdir())) == 3


def test_pictures_are_compared_with_their_own_texts(
    sees: Callable[..., Path], run: Callable[..., ResultRecord]
) -> None:
    sees()
    (own,) = run(scores="picture_text").noise
    assert 0.7 < own.kept < 0.8  # eight in ten of those that have a text


def test_an_encoder_is_gone_when_training_begins(
    sees: Callable[..., Path], run: Callable[..., ResultRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sees()
    monkeypatch.setattr(gc, "collect", int)  # its weights may fill the GPU until then
    gc.disable()
    try:
        run()
    finally:
        gc.enable()
    assert module.with_name("eyes.txt").read_text() == "0"


def test_what_was_encoded_before_an_error_is_kept(
    sees: Callable[..., Path], run: Callable[..., ResultRecord], call: Call
) -> None:
    module = sees("unit(found) if SHOWN.with_name('go').exists() or len(pixels) > 44 else None")
    refused = call("run", *PICTURES, *WITH, *DATA)
    assert refused.status == 2
    assert calls(module) == [64, 64, 64, 64, 44]
    module.with_name("go").touch()
    run()
    assert calls(module) == [64, 64, 64, 64, 44, 44]


def test_two_ranks_choose_what_one_chooses(
    sees: Callable[..., Path],
    tiny_home: Path,
    harness_fork: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = sees()
    chosen = []
    for ranks in ("1", "2"):
        home = tiny_home.with_name(f"home{ranks}")
        home.mkdir()
        (home / "data").symlink_to(tiny_home / "data")
        monkeypatch.setenv("HARNESS_HOME", str(home))
        ended = harness_fork(
            "run", *PICTURES, *WITH, *DATA, "--set", "use=weigh", "--cpu-ranks", ranks
        )
        assert ended.status == 0, ended
        (path,) = home.glob("stages/*/samples.npz")
        with np.load(path) as columns:
            chosen.append({name: columns[name].tobytes() for name in columns})
        assert sorted(calls(module)) == [44, 64, 64, 64, 64]
        module.with_name("calls.txt").unlink()
    assert chosen[0] == chosen[1]
    assert "weight" in chosen[0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("unit(found[:, :4])", "encoder 'sees' gives texts 7 columns, and pictures 4; all must be"),
        ("unit(found)[:9]", "picture_encoder must return (64, D) vectors, not (9, 7)"),
        ("unit(found) * np.nan", "picture_encoder returns vectors that are not finite"),
        ("1 / 0", "picture_encoder (encode): ZeroDivisionError: division by zero (sees.py, line"),
    ],
)
def test_a_wrong_answer_is_one_line_that_names_the_plugin(
    sees: Callable[..., Path], answer: str, said: str, tiny_home: Path, call: Call
) -> None:
    sees(answer)
    refused = call("run", *PICTURES, *WITH, *DATA)
    assert refused.status == 2
    last = refused.err.splitlines()[-1]
    assert "plugin 'sees'" in last
    assert said in last
    assert not list(tiny_home.glob("records/*.json"))


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        ("see", "no active plugin provides text encoder 'see'; did you mean 'sees'?"),
        ("clp:here", "text encoder 'clp:here'; did you mean 'clip:NAME'?"),
        ("lexical", "encoder 'lexical' of plugin 'texts' encodes texts but no pictures; choose"),
        ("letters", "no active plugin encodes pictures by 'letters' (asked: silent); choose one"),
        ("lettres", "encodes pictures by 'lettres'; did you mean 'letters'? (asked: silent)"),
        ("clip:/no/folder", "text encoder 'clip:/no/folder' is not a folder; name another one"),
    ],
)
def test_an_encoder_that_there_is_not_is_one_line(
    sees: Callable[..., Path],
    install: Callable[..., Path],
    encoder: str,
    said: str,
    call: Call,
) -> None:
    sees()
    install("silent", SILENT)
    added = ("--with", "sees", *(("--with", "silent") if encoder.startswith("l") else ()))
    refused = call("run", *PICTURES, *added, "--set", f"encoder={encoder}", *DATA)
    assert said in refused.error.removesuffix("\n")


def test_a_trick_that_does_not_say_that_it_encodes_pictures_is_refused(
    sees: Callable[..., Path], install: Callable[..., Path], call: Call
) -> None:
    module = sees()
    install("asks", ASKS)
    data = ("--data", "synthweb:tiny", "--engine", "torch")
    refused = call("run", "--plugin", "asks", "--with", "sees", *data)
    assert refused.status == 2
    assert (
        "plugin 'asks': Look in stage 'train': it encodes pictures with 'sees', but no noise trick "
        "of the stage says so; give the trick attributes or fields encoder = picture_encoder = "
    ) in refused.err.splitlines()[-1]
    assert calls(module) == []
