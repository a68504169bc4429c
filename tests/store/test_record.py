"""Records: one schema, written whole, read with distrust."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness.errors import HarnessError
from harness.store.record import ResultRecord, Score, digest, record_id
from harness.store.record_files import MAX_RECORD_BYTES, read_record, read_records, write_record
from harness.store.seals import DamagedError, sealed_record, unsealed_record


def test_a_record_reads_as_it_was_written(tmp_path: Path, small_record: ResultRecord) -> None:
    path = write_record(tmp_path / "records", small_record)
    assert path == tmp_path / "records" / "baseline-seed0-0123.json"
    assert read_record(path) == small_record
    assert json.loads(path.read_text())["schema_version"] == 2
    again = write_record(tmp_path / "again", read_record(path))
    assert again.read_bytes() == path.read_bytes()


def test_a_record_cannot_be_changed(small_record: ResultRecord) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        small_record.seed = 1


def test_a_score_is_found_by_its_terms(small_record: ResultRecord) -> None:
    found = small_record.score("test", "10 views", "best")
    assert found is not None
    assert found.epoch == "best"
    assert small_record.score("test", "10 views") == small_record.scores[0]
    assert small_record.score("val", "10 views") is None
    assert small_record.score("test", "1 view") is None


def test_a_record_shows_what_a_run_prints(small_record: ResultRecord) -> None:
    lines = repr(small_record).splitlines()
    assert lines[0] == f"{small_record.label}, seed 0, on {small_record.data.edition}"
    assert lines[1].split() == [
        "split",
        "protocol",
        "epoch",
        "top-1",
        "top-5",
        "top-1",
        "class",
        "mean",
    ]
    assert len(lines) == 3 + len(small_record.scores) + len(small_record.noise) + 1
    assert lines[-1].startswith("training took ")
    assert str(small_record) == repr(small_record)


def test_a_record_shows_others_text_escaped(small_record: ResultRecord) -> None:
    first = small_record.scores[0].model_copy(update={"split": "<b>"})
    strange = small_record.model_copy(update={"label": "<script>", "scores": (first,)})
    html = strange._repr_html_()
    assert "<table>" in html
    assert "&lt;script&gt;" in html
    assert "<td>&lt;b&gt;" in html
    assert "<script>" not in html
    assert "<b>" not in html


def test_a_record_without_scores_shows_itself(small_record: ResultRecord) -> None:
    empty = small_record.model_copy(update={"scores": (), "noise": ()})
    assert repr(empty).splitlines()[-1].startswith("training took ")
    assert "<table>" in empty._repr_html_()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def put(*path: str | int) -> Callable[[Any, Any], None]:
    def change(content: Any, value: Any) -> None:
        for part in path[:-1]:
            content = content[part]
        content[path[-1]] = value

    return change


def forged(content: Any) -> str:
    """Return the content with a digest that fits, as one who knows the format writes it."""

    def sha256(value: Any) -> str:
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

    whole = {name: value for name, value in content.items() if name != "cost"}
    digest = sha256(whole)
    if "cost" in content:
        cost = content["cost"]
        sealed = {**cost, "digest": sha256([digest, cost])} if isinstance(cost, dict) else cost
        whole["cost"] = sealed
    text = json.dumps(whole, indent=1, sort_keys=True)
    return f'{{\n "digest": "{digest}",{text[1:]}\n'


WRONG: list[tuple[Callable[[Any, Any], None], Any, str]] = [
    (put("invented"), 1, "invented: Extra inputs are not permitted"),
    (put("cost", "invented"), 1, "cost.invented: Extra inputs are not permitted"),
    (put("schema_version"), 0, "schema_version: Input should be 2"),
    (put("seed"), "many", "seed: Input should be a valid integer"),
    (put("seed"), None, "seed: "),
    (put("scores", 0, "top1"), float("nan"), "scores.0.top1: "),
    (put("scores", 0, "top1"), float("inf"), "scores.0.top1: "),
    (put("scores", 0, "top1"), 1.01, "scores.0.top1: Input should be less than or equal to 1"),
    (put("scores", 0, "top5"), -0.1, "scores.0.top5: "),
    (put("scores", 0, "epoch"), "middle", "scores.0.epoch: "),
    (put("scores", 0, "per_class_top1"), [2], "scores.0.per_class_top1.0: "),
    (put("stages", 0, "history", 0, "loss"), float("nan"), "stages.0.history.0.loss: "),
    (put("cost", "wall_seconds"), float("inf"), "cost.wall_seconds: "),
    (put("noise", 0, "auc"), float("nan"), "noise.0.auc: "),
    (put("id"), 3, "id: Input should be a valid string"),
]


@pytest.mark.parametrize(("change", "value", "words"), WRONG)
def test_what_breaks_the_schema_is_refused_by_name(
    tmp_path: Path,
    small_record: ResultRecord,
    change: Callable[[Any, Any], None],
    value: Any,
    words: str,
) -> None:
    content = small_record.model_dump(mode="json")
    change(content, value)
    path = tmp_path / "wrong.json"
    path.write_text(forged(content))
    with pytest.raises(DamagedError) as caught:
        read_record(path)
    assert f"{path} is not a result record of schema 2: {words}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", sorted(ResultRecord.model_fields))
def test_no_field_may_be_missing(tmp_path: Path, small_record: ResultRecord, field: str) -> None:
    content = small_record.model_dump(mode="json")
    del content[field]
    path = tmp_path / f"{small_record.id}.json"
    path.write_text(forged(content))
    if field in ("schema_version", "decides", "extra"):
        assert read_record(path) == small_record
        return
    with pytest.raises(HarnessError, match=f"{field}: Field required"):
        read_record(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"text"', b"[" * 100_000, b'{"a": NaN', b"\0" * 9],
)
def test_what_is_not_a_record_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "wrong.json"
    path.write_bytes(content)
    with pytest.raises(DamagedError, match="was altered after it was written: ") as caught:
        read_record(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("at", [0, 14, 40, 78, 80, 200, -3, -2, -1])
@pytest.mark.parametrize("change", ["flip", "drop", "cut"])
def test_no_byte_may_differ(
    tmp_path: Path, small_record: ResultRecord, at: int, change: str
) -> None:
    path = write_record(tmp_path, small_record)
    data = bytearray(path.read_bytes())
    if change == "flip":
        data[at] ^= 1
    elif change == "drop":
        del data[at]
    else:
        del data[at:]
    path.write_bytes(data)
    with pytest.raises(DamagedError, match="was altered after it was written"):
        read_record(path)


def test_equal_results_have_equal_digests_whatever_they_cost(
    tmp_path: Path, small_record: ResultRecord
) -> None:
    cost = small_record.cost.model_copy(update={"wall_seconds": 99.0})
    records = (small_record, small_record.model_copy(update={"cost": cost}))
    written = [
        json.loads(write_record(tmp_path / str(number), record).read_text())
        for number, record in enumerate(records)
    ]
    costs = [content.pop("cost") for content in written]
    assert written[0] == written[1]
    assert costs[0]["digest"] != costs[1]["digest"]


def test_an_altered_cost_is_refused(tmp_path: Path, small_record: ResultRecord) -> None:
    path = write_record(tmp_path, small_record)
    content = json.loads(path.read_text())
    content["cost"]["wall_seconds"] += 1
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    with pytest.raises(DamagedError, match="was altered"):
        read_record(path)
    path = write_record(tmp_path, small_record)
    seconds = f'"wall_seconds": {small_record.cost.wall_seconds}'
    assert seconds in path.read_text()
    path.write_text(path.read_text().replace(seconds, '"wall_seconds": 1.5'))
    with pytest.raises(DamagedError, match="its digest is not that of its content"):
        read_record(path)


SPELLINGS: list[tuple[Callable[[str], str], str]] = [
    (lambda text: text.replace('"seed": 0', '"seed":  0'), "a blank more"),
    (lambda text: text.replace('"seed": 0', '"seed":0'), "a blank less"),
    (lambda text: text.replace("\n  ", "\n   "), "another indent"),
    (lambda text: text.replace("\n  ", "\n\t"), "a tab"),
    (lambda text: text.replace("\n", "\r\n"), "line ends of another system"),
    (lambda text: text.replace("[]", "[\n ]"), "a line break in an empty list"),
    (lambda text: text.replace("{}", "{ }"), "a blank in an empty object"),
    (lambda text: text.replace("1e-05", "0.00001"), "a number"),
    (lambda text: text.replace("1e-05", "1E-05"), "another number"),
    (lambda text: text.replace("\\u00e9", "\u00e9"), "a letter"),
    (lambda text: text.replace("\\u00e9", "\\u00E9"), "a letter by another code"),
    (lambda text: text.replace('"method"', '"\\u006dethod"'), "a code for a letter"),
    (lambda text: json.dumps(json.loads(text)) + "\n", "one line"),
    (lambda text: json.dumps(json.loads(text), indent=1) + " \n", "a blank at the end"),
    (lambda text: json.dumps(_turned(json.loads(text)), indent=1) + "\n", "another order"),
    (lambda text: json.dumps(_turned_cost(json.loads(text)), indent=1) + "\n", "the cost's order"),
    (lambda text: json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n", "digest by name"),
    (lambda text: f"{text}\n", "a line more"),
    (lambda text: f"{text}{text}", "twice"),
]


def _turned(content: dict[str, Any]) -> dict[str, Any]:
    return {"digest": content["digest"], **dict(reversed(content.items()))}


def _turned_cost(content: dict[str, Any]) -> dict[str, Any]:
    return content | {"cost": dict(reversed(content["cost"].items()))}


@pytest.mark.parametrize("loss", [0.5, 1e-05, 1e22])
@pytest.mark.parametrize("label", ["method", "m\u00e9thode", "half \ud800"])
def test_the_same_content_in_another_spelling_is_refused(
    label: str, loss: float, small_record: ResultRecord
) -> None:
    content = small_record.model_dump(mode="json")
    content |= {"label": label, "plugin": "method"}
    content |= {"without": [], "extra": {"one": {"loss": loss}, "two": {}}}
    text = sealed_record(content)
    assert json.loads(unsealed_record(text.encode())) == content
    others = {name: spell(text).encode("utf-8", "surrogatepass") for spell, name in SPELLINGS}
    others = {name: other for name, other in others.items() if other != text.encode()}
    assert len(others) >= 15  # not every text has every letter and number
    assert [name for name, other in others.items() if _is_accepted(other)] == []


def _is_accepted(data: bytes) -> bool:
    try:
        unsealed_record(data)
    except DamagedError:
        return False
    return True


def test_a_key_given_twice_does_not_evade_the_digest(
    tmp_path: Path, small_record: ResultRecord
) -> None:
    path = write_record(tmp_path, small_record)
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 0, "seed": 1'))
    with pytest.raises(DamagedError, match="its digest is not that of its content"):
        read_record(path)


def test_records_of_other_schemas_are_said_to_be_of_other_versions(
    tmp_path: Path, small_record: ResultRecord
) -> None:
    content = small_record.model_dump(mode="json")
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text(json.dumps(content | {"schema_version": 1}))
    with pytest.raises(HarnessError, match="of schema 1, which an earlier version wrote"):
        read_record(tmp_path / "one.json")
    later = tmp_path / "later.json"
    later.write_text(forged(content | {"schema_version": 3, "invented": 1}))
    with pytest.raises(HarnessError, match=r"of schema 3, which a later version wrote"):
        read_record(later)
    records, problems = read_records(tmp_path)
    assert records == []
    assert len(problems) == 2
    assert "of schema 3" in problems[0]
    assert problems[1].startswith("2 of the records in ")


def test_a_copy_under_another_name_is_refused(tmp_path: Path, small_record: ResultRecord) -> None:
    path = write_record(tmp_path, small_record)
    path.with_name("second.json").write_bytes(path.read_bytes())
    (_,), problems = read_records(tmp_path)
    assert problems == [
        f"{tmp_path / 'second.json'} holds the record {small_record.id}, so it is a copy under a "
        "new name"
    ]


CONTRADICTIONS: list[tuple[Callable[[Any, Any], None], Any, str]] = [
    (put("scores", 0, "top1"), 1.0, "top-1 is 1.0000, above top-5, 0.9000"),
    (put("scores", 0, "top1"), 0.6, "top-1 is outside the range of its classes' values"),
    (put("scores", 0, "top1"), 0.55, "which is not a whole number of 10 images"),
    (put("scores", 0, "top1_class_mean"), 0.4, "the class mean of top-1 is not the mean"),
    (put("scores", 0, "top5_class_mean"), 0.4, "the class mean of top-1 is above"),
    (put("scores", 0, "per_class_top1"), [0.7, None], "the class mean of top-1 is not"),
    (put("scores", 0, "per_class_top1"), [0.95, None], "a class has a top-1 above its top-5"),
    (put("scores", 0, "per_class_top1"), [None, 0.5], "top-1 and top-5 are of different classes"),
    (put("scores", 0, "per_class_top1"), [0.5], "values of 1 and 2 classes, not of 2"),
    (put("scores", 0, "images"), 0, "there are no images"),
    (put("scores", 1, "epoch"), "last", "test, 10 views, last epoch is scored twice"),
    (put("stages", 0, "history", 0, "val_top1"), 1.5, "val top-1 1.5"),
    (put("decides"), {"seed": 0}, "its id is not that of its plugin, its seed"),
    (put("id"), "wrong-seed7-0123", "holds the record wrong-seed7-0123"),
]


@pytest.mark.parametrize(("change", "value", "words"), CONTRADICTIONS)
def test_a_forger_who_makes_the_digest_anew_must_not_contradict_himself(
    tmp_path: Path,
    small_record: ResultRecord,
    change: Callable[[Any, Any], None],
    value: Any,
    words: str,
) -> None:
    content = small_record.model_dump(mode="json")
    change(content, value)
    path = tmp_path / f"{small_record.id}.json"
    path.write_text(forged(content))
    with pytest.raises(DamagedError) as caught:
        read_record(path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("seed", 1), ("label", "pci"), ("stages", ()), ("combine", "mean"), ("plugin", "pci")],
)
def test_what_the_id_was_made_of_cannot_be_changed(
    tmp_path: Path, small_record: ResultRecord, field: str, value: Any
) -> None:
    decides: dict[str, Any] = {
        "label": small_record.label,
        "seed": 0,
        "stages": [["train", "k"]],
        "combine": None,
    }
    identity = record_id("baseline", 0, decides)
    whole = small_record.model_copy(update={"decides": decides, "id": identity})
    assert read_record(write_record(tmp_path, whole)) == whole
    path = write_record(tmp_path, whole.model_copy(update={field: value}))
    with pytest.raises(DamagedError, match="contradicts itself: its "):
        read_record(path)


def test_a_huge_file_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(MAX_RECORD_BYTES + 1)  # sparse: it takes no room
    with pytest.raises(HarnessError, match=r"larger than 64 MiB, so it is not a record"):
        read_record(path)


def test_a_file_that_is_not_there_or_a_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"cannot read .*: No such file"):
        read_record(tmp_path / "missing.json")
    with pytest.raises(HarnessError, match=r"cannot read .*: Is a directory"):
        read_record(tmp_path)


def test_records_are_read_oldest_first_and_the_unreadable_are_told(
    tmp_path: Path, small_record: ResultRecord
) -> None:
    for name, created in (("a", "2024-03-01"), ("b", "2024-01-01"), ("c", "2024-02-01")):
        cost = small_record.cost.model_copy(update={"created": created})
        write_record(tmp_path, small_record.model_copy(update={"id": name, "cost": cost}))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "notes.txt").write_text("no record")
    records, problems = read_records(tmp_path)
    assert [record.id for record in records] == ["b", "c", "a"]
    assert len(problems) == 1
    assert "broken.json was altered" in problems[0]
    assert read_records(tmp_path / "nowhere") == ([], [])


def test_a_record_is_written_whole_or_not_at_all(
    tmp_path: Path, small_record: ResultRecord
) -> None:
    path = write_record(tmp_path, small_record)
    script = """
import resource, sys
from pathlib import Path
from harness.errors import HarnessError
from harness.store.record_files import read_record, write_record
record = read_record(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
try:
    write_record(Path(sys.argv[1]).parent, record.model_copy(update={"label": "x" * 4096}))
except HarnessError as error:
    print(error)
"""
    before = path.read_bytes()
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"cannot write {path}: File too large\n"
    assert path.read_bytes() == before
    assert names(tmp_path) == [path.name]


def test_a_score_refuses_what_is_not_a_share(small_record: ResultRecord) -> None:
    values = small_record.scores[0].model_dump()
    with pytest.raises(ValidationError):
        Score(**{**values, "top1_class_mean": float("nan")})


def test_a_digest_depends_on_content_only() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2}) != digest({"a": "2"})
    assert len(digest(None)) == 64
