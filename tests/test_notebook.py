"""The notebook of the documentation runs as it stands."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "docs" / "python.ipynb"
# A kernel runs the file that PYTHONSTARTUP names; with it, importing torch takes 1.5 s less.
SELDOM = (
    "from harness.machine.garbage import collect_seldom\ncollect_seldom()\ndel collect_seldom\n"
)


@pytest.mark.slow
def test_the_notebook_runs_and_its_values_show_themselves(
    tiny_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "first.py"
    first.write_text(SELDOM)
    monkeypatch.setenv("PYTHONSTARTUP", str(first))
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
    assert len(list((tiny_home / "records").glob("*.json"))) == 2


def test_it_is_kept_without_outputs() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    kept = [cell for cell in cells if cell.cell_type == "code" and cell.outputs]
    assert kept == []
