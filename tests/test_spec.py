"""What a run was asked to do, read from texts and written as texts."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.spec import DataSpec, Override, RunSpec, default_home


def texts(exclude: str, min_size: int = 1) -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8", exclude_characters=exclude), min_size=min_size)


def files(min_size: int = 1) -> st.SearchStrategy[str]:
    """Texts as the command line gives them; bytes that are not UTF-8 among them."""
    odd = st.lists(st.sampled_from(["%3F", "%3f", "%25", "%", "?", "+", "#", "&", "=", ":", " "]))
    return (
        texts("", min_size)
        | st.binary(min_size=min_size).map(os.fsdecode)
        | odd.map("".join).filter(lambda text: len(text) >= min_size)
    )


NAMES, PATHS = texts(":?"), files()
OPTIONS = st.dictionaries(texts("", 0), files(0), max_size=3)


@given(NAMES, st.none() | PATHS, OPTIONS)
def test_the_text_of_a_data_spec_reads_as_the_same(
    name: str, path: str | None, options: dict[str, str]
) -> None:
    spec = DataSpec(name=name, path=path, options=options)
    assert DataSpec.parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "name", "path", "options"),
    [
        ("synthweb", "synthweb", None, {}),
        ("synthweb:tiny?seed=1", "synthweb", "tiny", {"seed": "1"}),
        ("synthweb?seed=1", "synthweb", None, {"seed": "1"}),
        ("webvision1:/data/a:b", "webvision1", "/data/a:b", {}),
        ("w:/d?classes=0-49&source=google", "w", "/d", {"classes": "0-49", "source": "google"}),
        ("w:/d?a=1%262&b=", "w", "/d", {"a": "1&2", "b": ""}),
        ("w:/d?a=/x+y z%3d=#1", "w", "/d", {"a": "/x+y z==#1"}),
        ("w:/a+b%20c#d&e=f%3fg", "w", "/a+b%20c#d&e=f?g", {}),
        ("w:/100%253F%2525?a=%E9", "w", "/100%3F%25", {"a": "\udce9"}),
    ],
)
def test_data_is_read(text: str, name: str, path: str | None, options: dict[str, str]) -> None:
    assert DataSpec.parse(text) == DataSpec(name=name, path=path, options=options)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no data set"),
        (":/data", "names no data set"),
        ("?seed=1", "names no data set"),
        ("synthweb:", "nothing after ':'; complete it, or leave the ':' out"),
        ("synthweb:?seed=1", "nothing after ':'"),
        ("w:/d?", r"nothing after '\?'"),
        ("synthweb?seed", "key=value"),
        ("webvision1:/data/what?now", r"write %3F for a '\?' in a folder's name"),
        ("synthweb?seed=1&&b=2", "key=value"),
        ("synthweb?seed=1&seed=2", "gives a key twice"),
    ],
)
def test_what_is_not_a_data_set_is_refused(text: str, words: str) -> None:
    with pytest.raises(HarnessError, match=words):
        DataSpec.parse(text)


def test_the_label_says_what_the_user_changed() -> None:
    spec = RunSpec(
        plugin="malong_curriculum",
        knobs={"model": "B", "crops": "1"},
        extra=("pci",),
        without=("WeighSubsets",),
        overrides=(Override("", "epochs", "3"), Override("task-1", "lr", "0.1")),
        seed=3,
    )
    assert spec.label == (
        "malong_curriculum crops=1 model=B +pci -WeighSubsets epochs=3 task-1.lr=0.1"
    )


def test_a_plain_run_is_called_as_its_method() -> None:
    assert RunSpec(plugin="baseline", seed=9).label == "baseline"


def test_home_is_the_environments_or_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_HOME", "~/elsewhere")
    assert default_home().name == "elsewhere"
    assert default_home().is_absolute()
    monkeypatch.setenv("HARNESS_HOME", "")
    assert default_home().name == ".harness"
