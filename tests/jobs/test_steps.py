"""The tasks of a step of Slurm are the ranks of one run; without a step a command runs alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.store.record_files import read_record

pytestmark = pytest.mark.slow

HARNESS = str(Path(sys.executable).with_name("harness"))
RUN = ("run", "--plugin", "baseline", "--engine", "torch", "--data", "synthweb:tiny")
WHOLE = (HARNESS, *RUN, "--gpus", "0", "--stage", "epochs=1")


@pytest.mark.parametrize(
    ("starter", "ranks"),
    [
        (("srun", "--nodes", "1", "--ntasks", "2"), (2,)),
        (("salloc", "--nodes", "2", "--ntasks", "2"), (1,)),
    ],
    ids=["srun", "salloc"],
)
def test_what_slurm_starts(
    slurm: Path, tiny_home: Path, tmp_path: Path, starter: tuple[str, ...], ranks: tuple[int, ...]
) -> None:
    done = subprocess.run(
        [*starter, *WHOLE],
        cwd=tmp_path,
        env=os.environ | {"SLURM_CONF": str(slurm), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (path,) = (tiny_home / "records").glob("*.json")
    assert read_record(path).stages[0].ranks == ranks
