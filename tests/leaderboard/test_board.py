"""What of all rows is kept."""

from __future__ import annotations

import pytest

from harness.errors import HarnessError
from harness_leaderboard.board import make_board, narrow
from harness_leaderboard.published import load_published


def test_narrowing(malong_records):
    board = make_board(malong_records, load_published())
    for text in ("SYNTH", "synthweb:small", "synthweb-small v1"):
        assert {r.edition for r in narrow(board, editions=[text]).rows} == {"synthweb-small v1"}
    both = narrow(board, editions=["webvision1", "webvision2"])
    assert {row.edition for row in both.rows} == {"WebVision 1.0", "WebVision 2.0"}
    assert not both.noise
    assert {row.split for row in narrow(board, splits=["val"]).rows} == {"val"}
    assert {row.method for row in narrow(board, methods=["model=a"]).rows} == {
        "malong_curriculum model=A"
    }
    with pytest.raises(HarnessError, match="unknown data set 'webvison'; did you mean 'WebVision"):
        narrow(board, editions=["webvison"])
    with pytest.raises(HarnessError, match=r"unknown split 'train'; .*on the board: test, val"):
        narrow(board, splits=["train"])
    with pytest.raises(HarnessError, match="unknown method 'modle=A'"):
        narrow(board, methods=["modle=A"])
