"""The notebook of the documentation runs as it stands."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "docs" / "python.ipynb"


@pytest.mark.slow
def test_the_notebook_runs_and_its_values_show_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=where).execute()
    shown = [
        output["data"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "execute_result"
    ]
    plan, method, baseline, board, compared, *_ = shown
    assert "stage task-1" in plan["text/plain"]
    for record, name in ((method, "malong_curriculum model=B"), (baseline, "baseline")):
        assert record["text/plain"].startswith(f"{name}, seed 0, on synthweb-tiny")
    for value in (plan, method, baseline, board, compared):
        assert "<" in value["text/html"]
    assert len(list((tmp_path / "home" / "records").glob("*.json"))) == 2


def test_it_is_kept_without_outputs() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    kept = [cell for cell in cells if cell.cell_type == "code" and cell.outputs]
    assert kept == []
