"""``harness data index`` and ``harness data pack``, as they are called."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from harness.cli.data_index import index
from harness.cli.data_pack import pack
from harness.errors import HarnessError

TREE = Path(__file__).parents[1] / "data" / "trees" / "webvision1"


def call(command, *arguments: object) -> Result:
    # As below the whole command: click keeps the first help option that it makes.
    names = ["-h", "--help"]
    return CliRunner().invoke(command, [*map(str, arguments)], help_option_names=names)


def error(command, *arguments: object) -> str:
    """The one line that the command line prints."""
    raised = call(command, *arguments).exception
    assert isinstance(raised, HarnessError)
    assert "\n" not in str(raised)
    return str(raised)


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (48, 32)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Google's pictures and val in archives; flickr's archive is missing."""
    folder = tmp_path / "webvision"
    shutil.copytree(TREE, folder)
    google = (folder / "info" / "train_filelist_google.txt").read_text().splitlines()
    val = (folder / "info" / "val_filelist.txt").read_text().splitlines()
    contents = {
        "google_resized_256": [line.split()[0] for line in google],
        "val_images_256": [f"val_images_256/{line.split()[0]}" for line in val],
    }
    for name, members in contents.items():
        with tarfile.open(folder / f"{name}.tar", "w") as archive:
            for member in members:
                info = tarfile.TarInfo(member)
                info.size = len(jpeg())
                archive.addfile(info, io.BytesIO(jpeg()))
    return folder


def test_an_index_is_built_and_verified(root: Path) -> None:
    done = call(index, root)
    assert done.exit_code == 0, done
    assert done.stdout.splitlines() == [
        "webvision1: 9 members of 2 archives",
        "train: 5 of 9 entries found; 4 are in no archive, the first is "
        "flickr/q0001/2680197397.jpg",
        "train: 6 entries have a text",
        "val: 4 of 4 entries found",
        "test: 0 of 2 entries found; 2 are in no archive, the first is "
        "test_images_256/test000001.jpg",
        f"index: {root / '.harness-index'}",
    ]
    done = call(index, root, "--verify-data")
    assert done.exit_code == 0
    assert done.stdout == "the index is complete and its archives are unchanged\n"


def test_json_and_the_choice_of_archives(root: Path, tmp_path: Path) -> None:
    output = tmp_path / "index"
    options = ["--output", output, "--tar", "val_images_256.tar", "--no-texts", "--json"]
    done = call(index, root, *options)
    about = json.loads(done.stdout)
    assert about["index"] == str(output)
    assert about["splits"]["val"] == {
        "rows": 4,
        "found": 4,
        "first_missing": [],
        "texts": None,
        "text_problems": {},
    }
    assert about["splits"]["train"]["found"] == 0


def test_errors_are_one_line(root: Path, tmp_path: Path) -> None:
    assert "no finished index" in error(index, root, "--verify")
    assert "is not a folder" in error(index, tmp_path / "nowhere")
    path = root / "google_resized_256.tar"
    path.write_bytes(path.read_bytes()[:600])
    message = error(index, root)
    assert f"{path}, offset 0: the archive is cut short" in message


def test_archives_of_other_lists_are_refused(root: Path) -> None:
    for path in root.glob("*.tar"):
        with tarfile.open(path, "w") as archive:
            archive.addfile(tarfile.TarInfo("cats/1.jpg"))
    assert "none of 15 listed pictures" in error(index, root)


def test_what_is_not_a_picture_ends_with_status_1(root: Path) -> None:
    path = root / "val_images_256.tar"
    path.write_bytes(path.read_bytes().replace(b"\xff\xd8\xff", b"GIF"))
    call(index, root)
    done = call(index, root, "--verify-data")
    assert done.exit_code == 1
    assert len(done.stdout.splitlines()) == 4
    assert f"{path}, offset 512, val_images_256/val000001.jpg is not a picture" in done.stdout


def test_pack_and_what_it_says(root: Path, tmp_path: Path) -> None:
    for path in root.glob("*.tar"):
        subprocess.run(["tar", "-xf", path, "-C", root], check=True)
        path.unlink()
    output = tmp_path / "packed"
    message = error(pack, root, output, "--short-side", "16")
    assert message.startswith("flickr/q0001/2680197397.jpg cannot be read: No such file")
    assert "--skip-broken" in message
    done = call(pack, root, output, "--short-side", "16", "--skip-broken")
    assert done.exit_code == 0, done
    lines = done.stdout.splitlines()
    assert sum(line.startswith("left out: ") for line in lines) == 6
    assert lines[6].startswith("9 pictures in 3 archives, ")
    assert lines[7] == "6 broken pictures were left out"
    again = call(pack, root, output, "--short-side", "16", "--skip-broken", "--json")
    assert json.loads(again.stdout)["pictures"] == 9
