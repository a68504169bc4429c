"""Progress: one live line that fits the terminal, a few plain lines in a file."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import textwrap

import pytest

from harness.progress import ProgressLine

WIDTH = 40


def terminal_output(program: str, columns: int = WIDTH) -> str:
    """What a program writes to a terminal of so many columns."""
    terminal, child_side = pty.openpty()
    fcntl.ioctl(child_side, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, stderr=child_side) as process:
        os.close(child_side)
        written = b""
        try:
            while part := os.read(terminal, 1 << 16):
                written += part
        except OSError:  # the other side was closed
            pass
    os.close(terminal)
    assert process.returncode == 0
    return written.decode()


def screen(written: str) -> list[str]:
    """What is left on the screen, line by line."""
    lines = [""]
    columns = re.sub("[\u30a0-\u30ff]", "ww", written)
    for part in columns.replace("\r\n", "\n").split("\n"):
        for text in part.split("\r"):
            lines[-1] = text + lines[-1][len(text) :]
        lines.append("")
    return [line.rstrip() for line in lines]


def test_a_live_line_is_not_longer_than_the_window() -> None:
    written = terminal_output("""
        import time
        from harness.progress import ProgressLine
        from harness.terminal import note
        with ProgressLine(at_once=True) as line:
            for step in range(3):
                line.show(f"archive {step} of 3, " + "long-name " * 20)
                time.sleep(0.15)
            line.show("\\u30d5\\u30a1\\u30a4\\u30eb" * 20)  # each takes two columns
            time.sleep(0.15)
            line.show("a name with \\x1b[2J in it")
            note("a note")
            line.count("drawing", 9, 9, "images")
    """)
    parts = [part for line in written.split("\r\n") for part in line.split("\r")]
    assert [part for part in parts if len(part) > WIDTH] == []
    assert sum("\u30d5" in part for part in parts) == 1
    assert max(2 * part.count("\u30a4") + 2 for part in parts if "\u30d5" in part) <= WIDTH
    assert "\x1b[2J" not in written
    assert "a name with \\x1b[2J in it" in written
    assert [line for line in screen(written) if line] == ["a note", "drawing: 9/9 images"]


def test_the_console_s_live_line_is_not_longer_than_the_window() -> None:
    written = terminal_output("""
        import time
        from harness.observers.console import Console
        from harness.values import Stage
        stage, console = Stage(name="task-1", epochs=10), Console()
        console.on_stage_start(stage, 100, 0)
        for step in range(3):
            scalars = {"loss": step, "images_per_second": 1234.5, "epoch": 1.0, "seconds_left": 75}
            console.on_step_end(stage, scalars)
            time.sleep(0.15)
        console.on_stage_end(stage, {"cached": 0.0, "images_per_second": 5.0})
    """)
    live = [part for part in written.split("\r") if "epoch 1.0/10" in part]
    assert len(live) == 3
    assert max(map(len, live)) <= WIDTH
    assert [line for line in screen(written) if line] == [
        "task-1: 100 steps, 10 epochs, resnet50",
        "task-1: epoch 10.0/10, loss 2.000, 5 images/s",
    ]


def test_a_terminal_is_told_that_a_library_is_loaded_until_it_is() -> None:
    program = """
        from harness.progress import loading
        with loading("wave"):
            import wave
        with loading("wave"):
            import wave
        with loading("sys"):
            pass
    """
    written = terminal_output(program)
    assert written.count("loading wave") == 1
    assert "loading sys" not in written
    assert [line for line in screen(written) if line] == []


def test_a_file_gets_few_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine(at_once=True, file_seconds=1e9) as line:
        for done in (0, 100, 200, 300):
            line.count("drawing synthweb tiny", done, 300, "images")
    assert capsys.readouterr().err.splitlines() == [
        "drawing synthweb tiny: 0/300 images",
        "drawing synthweb tiny: 300/300 images",
    ]


def test_a_short_task_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine() as line:
        for done in (0, 100, 300):
            line.count("encoding texts", done, 300)
        line.step("lists", 1, 3)
    assert capsys.readouterr().err == ""
