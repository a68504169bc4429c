"""A finished run, and the zip that others are given of it."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.runner import run
from harness.spec import DataSpec, Override, RunSpec
from harness.store.record_files import read_records
from harness.submissions.pack import pack

Members = dict[str, bytes]


@pytest.fixture(scope="session")
def finished(drawn_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two finished runs of one method; do not change it."""
    home = tmp_path_factory.mktemp("finished")
    (home / "data").symlink_to(drawn_data)
    for seed in (0, 1):
        run(
            RunSpec(
                plugin="baseline",
                data=DataSpec.parse("synthweb:tiny"),
                engine="torch",
                overrides=(Override("", "epochs", "1"),),
                seed=seed,
                home=home,
            )
        )
    return home


@pytest.fixture(scope="session")
def packed(finished: Path) -> Path:
    """The zip of the run of seed 0."""
    records, _ = read_records(finished / "records")
    path = finished / "submission.zip"
    pack(finished, [record for record in records if record.seed == 0], path)
    return path


@pytest.fixture
def members(packed: Path) -> Members:
    """The files of the zip, by name."""
    with zipfile.ZipFile(packed) as whole:
        return {info.filename: whole.read(info) for info in whole.infolist()}


@pytest.fixture
def zipped(tmp_path: Path) -> Callable[[Members], Path]:
    """Write files to a zip."""

    def write(members: Members, name: str = "sent.zip") -> Path:
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as whole:
            for member, data in members.items():
                whole.writestr(member, data)
        return tmp_path / name

    return write


@pytest.fixture
def home(finished: Path, harness_home: Path) -> Path:
    """A home of its own with both runs."""
    shutil.copytree(finished, harness_home, symlinks=True)
    return harness_home


@pytest.fixture
def refused(call: Callable[..., Any], harness_home: Path) -> Callable[..., str]:
    """Offer submissions; return the line that refuses them, and check that nothing was taken."""

    def offer(*sources: Path, data: str = "") -> str:
        def there() -> list[tuple[Path, int]]:
            found = sorted((harness_home / "records").rglob("*"))
            return [(path, path.lstat().st_mtime_ns) for path in found if path.is_file()]

        before = there()
        words = [word for source in sources for word in ("--add", str(source))]
        line: str = call("leaderboard", *words, *(("--data", data) if data else ())).error
        assert there() == before
        assert line.endswith("; nothing was taken")
        return line

    return offer
