"""The embedded data: repeatable, laid out like WebVision 1.0, wrong where the web is wrong."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.data.synthweb import PRESETS, VERSION, SynthWeb, generate, generate_clean, write
from harness.data.synthweb.plan import Crawl, plan_clean, plan_crawl
from harness.data.synthweb.scenes import Picture, render
from harness.data.synthweb.write import is_whole, write_crawl
from harness.data.webvision import missing_files, read_split
from harness.errors import DataError
from harness.spec import DataSpec, RunSpec


@pytest.fixture(scope="module")
def tiny(drawn_tiny: Path) -> Path:
    return drawn_tiny


@pytest.fixture(scope="module")
def large() -> Crawl:
    return plan_crawl(PRESETS["large"], 0)


@pytest.fixture(scope="module")
def small() -> Crawl:
    return plan_crawl(PRESETS["small"], 0)


def tree_digest(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


@pytest.mark.slow
def test_same_bytes_from_one_process_and_from_two(tiny: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    other = generate(
        tmp_path / "other", "tiny", 0, processes=2, progress=lambda *step: told.append(step)
    )
    assert tree_digest(other) == tree_digest(tiny)
    assert told[0] == (0, 420)
    assert told[-1] == (420, 420)
    assert told == sorted(told)


def test_another_seed_gives_other_files_and_pictures(tiny: Path) -> None:
    first, other = (plan_crawl(PRESETS["tiny"], seed) for seed in (0, 1))
    assert {entry.file for entry in first.train}.isdisjoint(entry.file for entry in other.train)
    assert render(first.val[0].picture) != render(other.val[0].picture)
    one = first.train[0]
    assert (tiny / one.file).read_bytes() == render(one.picture)


def test_the_folder_is_found_again_and_not_drawn_anew(tiny: Path) -> None:
    before = (tiny / "info" / "synsets.txt").stat().st_mtime_ns
    generate(tiny, "tiny", 0, progress=lambda *_: pytest.fail("drawn again"))
    assert (tiny / "info" / "synsets.txt").stat().st_mtime_ns == before


def test_layout_and_number_bases_are_those_of_webvision(tiny: Path) -> None:
    info = tiny / "info"
    assert lines(info / "synsets.txt")[0] == "n02012849 crane"
    assert lines(info / "queries_google.txt")[:2] == ["1 crane", "2 crane+wading+bird"]
    assert lines(info / "queries_google.txt") == lines(info / "queries_flickr.txt")
    synset_of = dict(line.split() for line in lines(info / "queries_synsets_map.txt"))
    assert set(synset_of.values()) == {"1", "2", "3", "4", "5", "6"}
    listed = lines(info / "train_filelist_google.txt") + lines(info / "train_filelist_flickr.txt")
    assert listed == lines(info / "train_filelist_all.txt")
    assert len(listed) == 300
    for line in listed:
        file, label = line.split()
        source, folder, _ = file.split("/")
        assert source in ("google", "flickr")
        assert int(synset_of[str(int(folder.removeprefix("q")))]) - 1 == int(label)
        assert folder == f"q{int(folder[1:]):04d}"
    judged = dict(line.split() for line in lines(info / "val_filelist.txt"))
    assert next(iter(judged)) == "val000001.jpg"
    assert Counter(judged.values()) == dict.fromkeys("012345", 10)
    assert lines(info / "test_filelist.txt")[-1] == "test000060.jpg"
    assert len(lines(info / "test_labels.txt")) == 60


def test_every_line_of_the_meta_lists_names_its_picture(tiny: Path) -> None:
    info = tiny / "info"
    for source in ("google", "flickr", "all"):
        files = lines(info / f"train_filelist_{source}.txt")
        places = lines(info / f"train_meta_list_{source}.txt")
        for listed, place in zip(files, places, strict=True):
            path, position = place.split()
            entry = json.loads((tiny / path).read_text())[int(position) - 1]
            assert listed.split()[0] == f"{path.removesuffix('.json')}/{entry['id']}.jpg"


def test_pictures_are_whole_jpegs_of_64_pixels(tiny: Path) -> None:
    for path in list(tiny.rglob("*.jpg"))[::20]:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            image.load()
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 64))


def test_the_reader_reads_it(tiny: Path) -> None:
    for split, size in (("train", 300), ("val", 60), ("test", 60)):
        samples = read_split(tiny, split)
        assert len(samples) == size
        assert missing_files(samples) == []
    assert samples.classes[0].gloss.startswith("large long-necked wading bird")


def test_truth_is_known_for_every_training_picture(tiny: Path) -> None:
    with (tiny / "truth" / "train_truth.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "truth", "kind"]
    assert [row["file"] for row in rows] == read_split(tiny, "train").files.tolist()
    for row in rows:
        assert (int(row["truth"]) == -1) == (row["kind"] in ("outside", "second_sense"))


def test_presets_have_the_promised_sizes(small: Crawl, large: Crawl) -> None:
    assert (len(small.classes), len(small.train), len(small.val), len(small.test)) == (
        20,
        2_500,
        1_000,
        1_000,
    )
    assert (len(large.classes), len(large.train)) == (100, 50_000)
    assert {cls.wnid for cls in small.classes} < {cls.wnid for cls in large.classes}


@pytest.mark.parametrize(
    ("preset", "seed"), [("large", 0), ("small", 0), ("small", 1), *[("tiny", n) for n in range(9)]]
)
def test_training_is_imbalanced_and_judging_is_not(preset: str, seed: int, large: Crawl) -> None:
    crawl = large if preset == "large" else plan_crawl(PRESETS[preset], seed)
    sizes = Counter(entry.label for entry in crawl.train)
    assert max(sizes.values()) / min(sizes.values()) >= 30
    assert min(sizes.values()) >= 4
    clean = Counter(entry.label for entry in crawl.train if entry.kind == "clean")
    assert all(clean[label] >= 2 for label in range(len(crawl.classes)))
    for judged in (crawl.val, crawl.test):
        assert len(set(Counter(one.label for one in judged).values())) == 1
    for entry in crawl.train:
        assert (entry.kind == "clean") == (entry.truth == entry.label)


def wrong(crawl: Crawl, source: str) -> float:
    return float(np.mean([e.kind != "clean" for e in crawl.train if e.source == source]))


def test_google_is_cleaner_than_flickr(small: Crawl) -> None:
    assert 0.2 < wrong(small, "google") < wrong(small, "flickr") - 0.1 < 0.5


def test_the_top_of_a_query_is_cleaner_than_its_end(small: Crawl) -> None:
    results: dict[tuple[str, int], list[bool]] = {}
    for entry in small.train:
        if entry.kind != "second_sense":
            shown = results.setdefault((entry.source, entry.query), [])
            shown.append(entry.kind == "clean")
    long = [shown for shown in results.values() if len(shown) >= 8]
    top = np.mean([np.mean(shown[: len(shown) // 2]) for shown in long])
    end = np.mean([np.mean(shown[len(shown) // 2 :]) for shown in long])
    assert top > end + 0.1


def test_wrong_pictures_show_a_class_of_the_same_group(small: Crawl) -> None:
    group = [cls.group for cls in small.classes]
    confused = [entry for entry in small.train if entry.kind == "confused"]
    assert len(confused) > 400
    assert all(group[entry.truth] == group[entry.label] for entry in confused)


def test_second_senses_are_many_alike(small: Crawl) -> None:
    second = [entry for entry in small.train if entry.kind == "second_sense"]
    by_class = {entry.label: entry.picture.thing for entry in second}
    assert {small.classes[label].lemma for label in by_class} == {
        "crane",
        "jaguar",
        "monarch",
        "admiral",
        "apple",
    }
    assert all(entry.picture.thing == by_class[entry.label] for entry in second)
    assert 0.05 < len(second) / len(small.train) < 0.2


def test_second_senses_vary_less_than_classes() -> None:
    def variety(thing: tuple[int, int] | str) -> float:
        pictures = [Picture(thing, "google", (7, number)) for number in range(24)]
        pixels = [np.asarray(Image.open(io.BytesIO(render(one))), float) for one in pictures]
        return float(np.mean(np.std(pixels, axis=0)))

    assert variety("tower") < variety((0, 0))


def test_some_files_are_listed_under_several_queries(tiny: Path, small: Crawl) -> None:
    listed = Counter((entry.source, entry.name) for entry in small.train)
    assert sum(count > 1 for count in listed.values()) > 50
    files = [entry.file for entry in small.train]
    assert len(set(files)) == len(files)
    twice = Counter(path.name for path in tiny.glob("*/q*/*.jpg"))
    name = next(name for name, count in twice.items() if count > 1)
    assert len({path.read_bytes() for path in tiny.glob(f"*/q*/{name}")}) == 1


def test_styles_differ() -> None:
    mean = {}
    for style in ("google", "flickr", "eval"):
        seeds = [(5, number) for number in range(60)]
        pixels = [
            np.asarray(Image.open(io.BytesIO(render(Picture((0, 0), style, seed)))), float)
            for seed in seeds
        ]
        corners = np.stack(pixels)[:, :8, :8]
        mean[style] = corners.mean()
    assert mean["google"] > mean["eval"] + 20
    assert mean["google"] > mean["flickr"] + 20


def test_texts_have_the_query_and_mostly_tell_what_is_shown(tiny: Path) -> None:
    samples = read_split(tiny, "train")
    words = dict(line.split() for line in lines(tiny / "info" / "queries_google.txt"))
    with (tiny / "truth" / "train_truth.csv").open(newline="") as file:
        truths = [int(row["truth"]) for row in csv.DictReader(file)]
    empty = told = missed = 0
    for text, query, label, truth in zip(
        samples.texts(), samples.query, samples.label, truths, strict=True
    ):
        asked = words[str(query)].replace("+", " ")
        parts = [text.title, text.description, " ".join(text.tags)]
        written = [part for part in parts if part]
        assert all(asked in part for part in written)
        if not written:
            empty += 1
        elif truth not in (-1, label):
            lemma = samples.classes[truth].lemmas.split(", ")[0]
            found = any(lemma in part for part in written)
            told, missed = told + found, missed + (not found)
    assert 0 < empty < 60
    assert told > missed > 0


def test_texts_are_missing_in_every_way(tiny: Path) -> None:
    entries = [entry for path in tiny.glob("*/q*.json") for entry in json.loads(path.read_text())]
    assert any(set(entry) == {"id"} for entry in entries)
    assert any(entry.get("title") == "" for entry in entries)
    assert any("title" in entry and "description" not in entry for entry in entries)
    assert any(entry.get("tags") == [] for entry in entries)
    google = [json.loads(path.read_text()) for path in tiny.glob("google/*.json")]
    assert not any("tags" in entry for found in google for entry in found)


CHILD = """
    import os, sys, time
    from pathlib import Path
    from harness.data.synthweb import generate
    from harness.errors import DataError

    def pause(drawn, images):
        if drawn:
            print("drawing", flush=True)
            {pause}

    try:
        generate(Path(sys.argv[1]), "tiny", 0, processes=2, progress=pause)
    except DataError as error:
        print(f"refused: {{error}}")
"""


def child(root: Path, *, pause: str = "pass", before: str = "") -> subprocess.Popen[str]:
    code = textwrap.dedent(before) + textwrap.dedent(CHILD).format(pause=pause)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_a_killed_drawing_leaves_nothing_that_looks_whole(tiny: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    with child(root, pause="time.sleep(60)") as process:
        assert process.stdout
        assert process.stdout.readline() == "drawing\n"
        process.send_signal(signal.SIGKILL)
    assert not root.exists()
    assert len(list(tmp_path.glob(".data.*.part"))) == 1
    generate(root, "tiny", 0)
    assert tree_digest(root) == tree_digest(tiny)
    assert list(tmp_path.glob(".data.*.part")) == []


@pytest.mark.slow
@pytest.mark.parametrize("python", ["/bin/false", "/nowhere/python", ""])
def test_pictures_left_undone_by_a_worker_are_drawn_here(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    assert tree_digest(generate(tmp_path / "data", "tiny", 0, processes=2)) == tree_digest(tiny)


@pytest.mark.slow
def test_two_processes_at_once_do_no_harm(tiny: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    with child(root) as first, child(root) as second:
        assert first.stdout
        assert second.stdout
        said = first.stdout.read() + second.stdout.read()
    assert (first.returncode, second.returncode) == (0, 0)
    assert "refused" not in said
    assert tree_digest(root) == tree_digest(tiny)
    assert list(tmp_path.glob(".data.*.part")) == []


def test_a_disk_that_takes_no_more_is_one_line(tmp_path: Path) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))"
    with child(tmp_path / "data", before=limit) as process:
        assert process.stdout
        said = process.stdout.read().splitlines()
    assert process.returncode == 0
    assert len(said) == 1
    assert said[0].startswith(f"refused: cannot write {tmp_path / 'data'}: ")
    assert [path.name for path in tmp_path.iterdir()] == [".data.lock"]


def test_an_interrupted_drawing_cleans_up(tmp_path: Path) -> None:
    def interrupt(drawn: int, images: int) -> None:
        if drawn:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "data", "tiny", 0, progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == [".data.lock"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(DataError, match="is not the synthweb data set"):
        generate(tmp_path, "tiny", 0)
    assert (tmp_path / "thesis.txt").read_text() == "dear"


def test_another_seed_in_the_same_folder_is_refused(tiny: Path) -> None:
    with pytest.raises(DataError, match=r"its synthweb\.json is missing or names another"):
        generate(tiny, "tiny", 5)


def test_a_damaged_data_set_is_noticed(tmp_path: Path) -> None:
    crawl = plan_crawl(PRESETS["tiny"], 0)
    crawl = Crawl(
        classes=crawl.classes,
        queries=crawl.queries,
        train=crawl.train[:5],
        val=crawl.val[:5],
        test=crawl.test[:5],
    )
    root, about = tmp_path / "data", {"data": "few"}
    write_crawl(root, crawl, about, seed=0, processes=1, progress=None)
    assert is_whole(root, about)
    for name in ("google/*/*.jpg", "info/val_filelist.txt", "truth/*.csv", "*/q*.json"):
        path = next(root.glob(name))
        kept, status = path.read_bytes(), path.stat()
        path.write_bytes(kept[:-2] + bytes([kept[-2] ^ 1]) + kept[-1:])
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        with pytest.raises(DataError, match="is damaged: the content of a file is not what was wr"):
            is_whole(root, about)
        path.write_bytes(kept)
        assert is_whole(root, about)
    next(root.glob("google/*/*.jpg")).write_bytes(b"")
    with pytest.raises(DataError, match=r"is damaged: .* remove the folder"):
        write_crawl(root, crawl, about, seed=0, processes=1, progress=None)


def test_a_whole_data_set_is_read_once_and_then_looked_at(
    tmp_path: Path, drawn_tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(drawn_tiny, tmp_path / "data"))
    generate(root, "tiny", 0)

    def read(path: Path) -> str:
        raise AssertionError(path)

    monkeypatch.setattr(write, "_content", read)
    generate(root, "tiny", 0)
    next(root.glob("google/*/*.jpg")).touch()
    with pytest.raises(AssertionError):
        generate(root, "tiny", 0)


def spec(text: str, home: Path) -> RunSpec:
    return RunSpec(plugin="baseline", data=DataSpec.parse(text), home=home)


def test_the_plugin_draws_on_first_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = SynthWeb().load_samples(spec("synthweb:tiny?seed=3", tmp_path), "train")
    assert samples.root == tmp_path / "data" / f"synthweb-v{VERSION}-tiny-3"
    assert samples.edition == f"synthweb-tiny v{VERSION}"
    assert samples.num_classes == 6
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("drawing synthweb tiny: 0/420 images")
    assert said.err.endswith("drawing synthweb tiny: 420/420 images\n")
    assert len(SynthWeb().load_samples(spec("synthweb:tiny?seed=3", tmp_path), "test")) == 60
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("synthweb:smal", "unknown synthweb preset 'smal'; did you mean 'small'"),
        ("synthweb:tiny?sead=1", "did you mean 'seed'"),
        ("synthweb:tiny?seed=-1", "is not a whole number from 0"),
        ("synthweb:tiny?seed=", "is not a whole number from 0"),
    ],
)
def test_the_plugin_refuses_with_one_line(typed: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said) as caught:
        SynthWeb().load_samples(spec(typed, tmp_path), "train")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_preset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown synthweb preset 'huge'"):
        generate(tmp_path / "data", "huge", 0)


# the split "clean"


@pytest.mark.slow
def test_clean_pictures_are_new_and_show_what_their_label_says() -> None:
    preset = PRESETS["small"]
    crawl, clean = plan_crawl(preset, 0), plan_clean(preset, 0)
    assert Counter(one.label for one in clean.val) == dict.fromkeys(range(20), 10)
    classes = clean.classes
    things = [(classes[one.label].group, classes[one.label].member) for one in clean.val]
    assert [one.picture.thing for one in clean.val] == things
    drawn = {render(entry.picture) for entry in (*crawl.train, *crawl.val, *crawl.test)}
    assert drawn.isdisjoint(render(one.picture) for one in clean.val)
    styles = Counter(one.picture.style for one in clean.val)
    assert set(styles) == {"google", "flickr"}  # as the web draws them, not as val and test
    assert clean == plan_clean(preset, 0) != plan_clean(preset, 1)


def test_the_clean_split_leaves_all_other_splits_as_they_are(tiny_home: Path, tiny: Path) -> None:
    def split(name: str, data: str = "tiny"):
        spec = RunSpec(plugin="synthweb", data=DataSpec.parse(f"synthweb:{data}"), home=tiny_home)
        return SynthWeb().load_samples(spec, name)

    before = tree_digest(tiny)
    others = {name: split(name) for name in ("train", "val", "test")}
    clean = split("clean")
    assert tree_digest(tiny) == before
    for name, samples in others.items():
        again = split(name)
        assert (again.fingerprint, again.edition) == (samples.fingerprint, samples.edition)
        assert clean.fingerprint != samples.fingerprint
    assert (clean.split, len(clean), clean.classes) == ("clean", 60, others["train"].classes)
    assert clean.edition == others["train"].edition
    missing_files(clean)
    assert not set(clean.root.rglob("*.jpg")) & set(tiny.rglob("*.jpg"))


def test_a_damaged_clean_split_is_said(tmp_path: Path) -> None:
    root = generate_clean(tmp_path / "clean", "tiny", 0)
    next(root.rglob("*.jpg")).unlink()
    with pytest.raises(DataError, match=r"is damaged.*remove the folder"):
        generate_clean(root, "tiny", 0)
