"""What every test may use: a home of its own, tiny data, the command line, others' plugins."""

from __future__ import annotations

import gc
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import settings

from harness.machine.cores import cores
from harness.machine.garbage import NEW_OBJECTS

settings.register_profile("untimed", deadline=None)  # by default an example may take 0.2 s
settings.load_profile("untimed")

if "PYTEST_XDIST_WORKER" in os.environ:
    # The workers take all cores: more threads would only wait for each other, and torch's spin.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")


def in_memory() -> str | None:
    """Return a folder that lies in memory, if it has room for all that the tests write at once.

    The quick tests of two rooms that write much took 12.7 s of processor on a disk, 11.1 s here.
    """
    folder = "/dev/shm"
    try:
        about = os.statvfs(folder)
    except OSError:
        return None
    free = about.f_bavail * about.f_frsize
    fit = free >= ROOM and not about.f_flag & os.ST_NOEXEC and os.access(folder, os.W_OK)
    return folder if fit else None


ROOM = 4 << 30  # bytes; all tests hold 450 MB at most, as passed tests leave no folders
if "PYTEST_XDIST_WORKER" not in os.environ and (memory := in_memory()):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", memory)  # where pytest makes its folders

gc.disable()  # importing every test makes objects that stay: looking at them takes 4 s a worker

if TYPE_CHECKING:
    from harness.samples import Samples
    from harness.store.record import ResultRecord


class Outcome(NamedTuple):
    """What a command line call came to."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that says what the user can correct."""
        lines = self.err.splitlines()
        assert self.status == 2, self
        assert len(lines) == 1, self
        assert lines[0].startswith("Error: "), self
        return lines[0].removeprefix("Error: ")


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores: tests of several processes wait for some of their time.

    On two cores all tests took 241 to 250 s with three workers, 248 to 252 s with two.
    """
    return cores() + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: the quick ones then fill both workers to the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Look for cycles again, as seldom as the commands do, and no more among what was imported."""
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
    gc.enable()


HOMES = itertools.count()


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the homes of tests lie that have no folder of their own."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def harness_home(
    request: pytest.FixtureRequest, homes: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Every test has data caches, stages and records of its own, below a folder that is there."""
    # Making a folder takes longer than most tests: whoever asks for one gets it.
    own = "tmp_path" in request.fixturenames
    home: Path = request.getfixturevalue("tmp_path") / "home" if own else homes / f"{next(HOMES)}"
    monkeypatch.setenv("HARNESS_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def drawn_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set synthweb:tiny, drawn once for all workers of a test run; do not change it."""
    from harness.data.synthweb import VERSION, generate

    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each worker has its own folder in the folder of the test run
    # The first worker draws it; generate makes the others wait.
    return generate(base / "drawn" / f"synthweb-v{VERSION}-tiny-0", "tiny", 0, processes=1)


@pytest.fixture(scope="session")
def drawn_data(drawn_tiny: Path) -> Path:
    """The folder that ``drawn_tiny`` is in; it serves as the ``data`` of a home."""
    return drawn_tiny.parent


@pytest.fixture(scope="session")
def tiny_originals(drawn_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every ``tiny_copy`` of this worker links to: a link changes a file's ctime."""
    return Path(shutil.copytree(drawn_tiny, tmp_path_factory.mktemp("originals") / "tiny"))


@pytest.fixture
def tiny_copy(
    tiny_originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A copy of synthweb:tiny, of hard links: replace a file to change it, never write into it."""

    def looks() -> list[tuple[Path, int, int]]:
        found = ((path, path.stat()) for path in tiny_originals.rglob("*"))
        return sorted((path, about.st_size, about.st_mtime_ns) for path, about in found)

    before = looks()
    # Copying its 465 files takes thirty times as long as linking to them.
    yield Path(shutil.copytree(tiny_originals, tmp_path / "copy", copy_function=os.link))
    monkeypatch.undo()  # a test may have replaced Path.stat
    assert looks() == before, "a test wrote into a file that all copies share"


@pytest.fixture(scope="session")
def tried_plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file in which a home remembers that each installed plugin can be imported."""
    from harness.assembly.discovery import broken_plugins, find_plugins

    home = tmp_path_factory.mktemp("tried")
    assert broken_plugins(find_plugins().values(), home) == {}
    (memory,) = home.iterdir()
    return memory


@pytest.fixture
def tried_home(harness_home: Path, tried_plugins: Path) -> Path:
    """The test's own home, in which only what it installs is still to be tried.

    A home in which nothing was tried imports all plugins, for 0.3 s.
    """
    harness_home.mkdir(exist_ok=True)
    shutil.copy(tried_plugins, harness_home)
    return harness_home


@pytest.fixture
def tiny_home(harness_home: Path, drawn_data: Path) -> Path:
    """The test's own home, with synthweb:tiny drawn."""
    harness_home.mkdir(exist_ok=True)
    (harness_home / "data").symlink_to(drawn_data)
    return harness_home


@pytest.fixture
def break_file() -> Callable[[Path, Path], None]:
    """Replace a file of a drawn data set by as many bytes of something else.

    The digest of the content goes from the marker, as in sets of earlier versions: such damage is
    then found when the file is read.
    """

    def replace(folder: Path, path: Path) -> None:
        from harness.data.synthweb.write import MARKER

        content = json.loads((folder / MARKER).read_text())
        content.pop("digest", None)
        size = path.stat().st_size
        for name, data in ((folder / MARKER, json.dumps(content).encode()), (path, b"x" * size)):
            name.unlink()  # it may be a hard link
            name.write_bytes(data)

    return replace


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Call ``harness ARGUMENTS`` in this process."""

    def call_harness(*arguments: str) -> Outcome:
        from harness.cli import main

        monkeypatch.setattr(sys, "argv", ["harness", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), out, err)

    return call_harness


class Forked:
    """A process that the fork server started, with what tests use of ``subprocess.Popen``."""

    def __init__(self, server: socket.socket, request: dict[str, Any]) -> None:
        self.args = request["arguments"]
        self.returncode: int | None = None
        self._outputs = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        self._told, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            files = [theirs.fileno(), *(file.fileno() for file in self._outputs)]
            socket.send_fds(server, [json.dumps(request).encode()], files)
        self.pid = int(self._told.recv(100))

    def wait(self, timeout: float | None = None) -> int:
        """Return the status at the end, as Popen does."""
        if self.returncode is None:
            self._told.settimeout(timeout)
            try:
                self.returncode = int(self._told.recv(100))
            except TimeoutError as error:
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from error
        return self.returncode

    def poll(self) -> int | None:
        """Return the status, or None for a process that has not ended."""
        try:
            return self.wait(0)
        except (BlockingIOError, subprocess.TimeoutExpired):
            return None

    def outputs(self) -> tuple[str, str]:
        """Return what has been written to standard output and error so far."""
        # Not by a seek, which would move the place where the process writes.
        sizes = ((file.fileno(), os.fstat(file.fileno()).st_size) for file in self._outputs)
        out, err = (os.pread(file, size, 0).decode() for file, size in sizes)
        return out, err

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end and return what was written to standard output and error."""
        self.wait(timeout)
        return self.outputs()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process at once."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()  # what a test has not waited for
        self.wait()
        for file in (*self._outputs, self._told):
            file.close()


@contextmanager
def serving(python: str, home: Path) -> Iterator[Callable[..., Forked]]:
    """Yield what starts ``python ARGUMENTS``, by default in ``home``: tests/fork_server.py."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    program = str(Path(__file__).with_name("fork_server.py"))
    with theirs:
        server = subprocess.Popen(
            [python, program, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1"},  # several of its forks share the cores
        )

    def start(*arguments: str, cwd: Path = home, **environment: str) -> Forked:
        surroundings = {**os.environ, **environment}
        asked = {"arguments": arguments, "cwd": str(cwd), "environment": surroundings}
        return Forked(ours, asked)

    with server, closing(ours):
        yield start


@pytest.fixture(scope="session")
def fork(homes: Path) -> Iterator[Callable[..., Forked]]:
    """Start ``python ARGUMENTS`` away from the repository, without the 2.5 s of its imports.

    Whether a command starts at all, what it imports and where from is tested by others.
    """
    with serving(sys.executable, homes) as start:
        yield start


@pytest.fixture(scope="session")
def forks_of() -> Callable[[str, Path], AbstractContextManager[Callable[..., Forked]]]:
    """Let the Python of another environment start processes, as ``fork`` does with this one's."""
    return serving


@pytest.fixture
def harness_fork(fork: Callable[..., Forked]) -> Callable[..., Outcome]:
    """Run ``python -m harness ARGUMENTS`` in a fork that has torch imported: for training."""

    def run_harness(*arguments: str) -> Outcome:
        with fork("-m", "harness", *arguments) as process:
            out, err = process.communicate(timeout=200)
        return Outcome(process.wait(), out, err)

    return run_harness


@pytest.fixture
def harness_process(tmp_path: Path) -> Callable[..., Outcome]:
    """Run ``python -m harness ARGUMENTS`` in a process of its own, away from the repository."""

    def run_harness(*arguments: str) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-m", "harness", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run_harness


PATIENCE = 120  # seconds for a process to get anywhere on a busy machine


@pytest.fixture(scope="session")
def wait_for() -> Callable[[Any, Callable[[], bool]], None]:
    """Wait until something is there, or the process has ended."""

    def wait(process: Any, there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and not there() and time.monotonic() < deadline:
            time.sleep(0.01)

    return wait


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Install throw-away distributions for this process and those that it starts.

    ``install(name, source)`` writes the module ``name`` and a distribution that registers the
    plugin ``name = "name:Plugin"``, unless told otherwise; it returns the module's file.
    """
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.syspath_prepend(shelf)
    paths = [str(shelf), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    before = set(sys.modules)

    def install_plugin(
        name: str,
        source: str = "",
        *,
        points: str = "",
        distribution: str = "",
        metadata: bool = True,
    ) -> Path:
        distribution = distribution or name
        module = shelf / f"{name}.py"
        module.write_text(textwrap.dedent(source))
        about = shelf / f"{distribution}-1.0.dist-info"
        about.mkdir()
        if metadata:
            (about / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
            )
        lines = points or f"{name} = {name}:Plugin"
        (about / "entry_points.txt").write_text(f"[harness.plugins]\n{lines}\n")
        return module

    yield install_plugin
    for module in set(sys.modules) - before:
        if str(getattr(sys.modules[module], "__file__", "")).startswith(str(shelf)):
            del sys.modules[module]


@pytest.fixture
def small_samples() -> Samples:
    """Twelve samples of three classes: 6, 4 and 2 of them, in subsets 0, 1 and -1."""
    import numpy as np

    from harness.samples import Samples, WebClass

    label = np.array([0] * 6 + [1] * 4 + [2] * 2, np.int32)
    size = len(label)
    return Samples(
        split="train",
        root=Path(),
        files=np.array([f"google/q0001/{row}.jpg" for row in range(size)], np.str_),
        label=label,
        source=np.zeros(size, np.int8),
        query=np.ones(size, np.int32),
        rank=np.arange(size, dtype=np.int32),
        weight=np.ones(size, np.float32),
        subset=np.array([0, 0, 0, 1, 1, -1, 0, 0, 1, 1, 0, 1], np.int8),
        classes=tuple(WebClass(f"n{k:08d}", f"class {k}") for k in range(3)),
        fingerprint="f",
        edition="three classes",
    )


@pytest.fixture
def make_samples() -> Callable[..., Samples]:
    """Build samples from labels and, optionally, features of a stage "initial" and columns."""
    import numpy as np

    from harness.samples import Predictions, Samples, StageOutputs, WebClass

    def make(
        label: Any, features_ND: Any = None, *, num_classes: int | None = None, **columns: Any
    ) -> Samples:
        label = np.asarray(label, np.int32)
        size = len(label)
        num_classes = num_classes or int(label.max(initial=0)) + 1
        seen = {}
        if features_ND is not None:
            nothing = np.zeros((size, 1))
            seen["initial"] = StageOutputs(
                np.asarray(features_ND, np.float32),
                Predictions(
                    nothing.astype(np.int32), nothing.astype(np.float32), np.zeros(size, np.float32)
                ),
            )
        whole: dict[str, Any] = {
            "files": np.array([f"google/q0001/{i}.jpg" for i in range(size)], np.str_),
            "source": np.zeros(size, np.int8),
            "query": np.zeros(size, np.int32),
            "rank": np.arange(size, dtype=np.int32),
            "weight": np.ones(size, np.float32),
            "subset": np.zeros(size, np.int8),
            "classes": tuple(WebClass(f"n{k:08d}", f"class {k}") for k in range(num_classes)),
        }
        return Samples(
            split="train",
            root=Path(),
            label=label,
            seen=seen,
            **{**whole, **columns},
        )

    return make


@pytest.fixture
def small_record() -> ResultRecord:
    """A record with one of everything that a record can hold."""
    from harness.store.record import ResultRecord

    terms = {"split": "test", "protocol": "10 views", "images": 10}
    score = {"top1": 0.5, "top5": 0.9, "top1_class_mean": 0.5, "top5_class_mean": 0.9}
    many = {"per_class_top1": [0.5, None], "per_class_top5": [0.9, None], "predictions_sha256": "s"}
    return ResultRecord.model_validate(
        {
            "id": "baseline-seed0-0123",
            "plugin": "baseline",
            "label": "baseline lr=0.2",
            "knobs": {"lr": {"value": "0.2", "origin": "command line", "source": "usual"}},
            "plugins": [
                {"name": "baseline", "distribution": "d", "version": "1", "source_sha256": "s"}
            ],
            "without": ["MixUp"],
            "data": {
                "plugin": "synthweb",
                "edition": "synthweb-tiny v1",
                "fingerprint": "f",
                "classes": 2,
                "train_samples": 20,
            },
            "seed": 0,
            "full_size": False,
            "members": ["train"],
            "combine": "",
            "stages": [
                {
                    "name": "train",
                    "key": "k",
                    "values": {"epochs": "2"},
                    "origins": {"epochs": "recipe"},
                    "tricks": {"noise": ["KeepSubsets(count=1)"]},
                    "history": [{"loss": 1.5, "val_top1": 0.25}],
                    "broken_images": 1,
                }
            ],
            "scores": [{**terms, **score, **many, "epoch": epoch} for epoch in ("last", "best")],
            "noise": [
                {
                    "stage": "train",
                    "auc": None,
                    "kept": 0.5,
                    "precision": 0.75,
                    "recall": None,
                    "rare_clean_lost": 0.1,
                    "clean": 0.6,
                }
            ],
            "commit": "c",
            "dirty": True,
            "cost": {
                "wall_seconds": 9.5,
                "device_seconds": 9.5,
                "stage_seconds": {"train": 9.5},
                "images_per_second": {"train": 100.0},
                "peak_memory_bytes": 1,
                "hardware": {"cores": "2"},
                "versions": {"python": "3"},
                "engine": "torch",
                "created": "2024-05-01T00:00:00+00:00",
            },
        }
    )
