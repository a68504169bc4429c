"""What a run survives: kills, lost nodes, preemption, a full disk, a wrong clock, no locks.

Real processes train on synthweb:tiny. The same command is started again after each fault; the
record must then equal an uninterrupted run's in everything but its cost. Each run is forked from a
process that has imported torch, as the ranks of --cpu-ranks are, so that kills fall into the run
and not into imports. Prints a table for each part and writes JSON.

    python benchmarks/endurance.py --kills 20 --json endurance.json
    python benchmarks/endurance.py --parts moments --methods huawei

The part "disk" mounts a small tmpfs in a namespace of its own (unshare of util-linux); "clock"
needs --faketime, the path of libfaketimeMT.so.1. A part without its tool says so.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from harness.machine.garbage import collect_seldom
from harness.machine.launch import keep_freed_memory, share_cores

share_cores()  # before torch is imported
keep_freed_memory()
collect_seldom()

import tensorboard.summary.writer.record_writer  # noqa: E402, F401
from tabulate import tabulate  # noqa: E402

import harness.cli.run  # noqa: E402
import harness.session.stage_runner  # noqa: E402
import harness.testing.score  # noqa: E402, F401
from harness.assembly.discovery import plugins_with  # noqa: E402
from harness.cli import main as harness_main  # noqa: E402
from harness.data.synthweb import VERSION, generate  # noqa: E402
from harness.training.checkpoints import newest_checkpoint  # noqa: E402

PARTS = ("kills", "moments", "ranks", "nodes", "preemption", "clock", "disk", "locks")
CHEAP = ("--data", "synthweb:tiny", "--engine", "torch")
LONG = ("--stage", "epochs=300", "--checkpoint-seconds", "0")
LARGE = ("--stage", "backbone=resnet50", "--stage", "batch_size=16", "--stage", "epochs=9")
PATIENCE = 300.0  # seconds until a run that does not end counts as one that hangs
TROUBLE = re.compile(r"Traceback|damaged|moved to")
FORK = multiprocessing.get_context("fork")


class Home:
    """A folder of data, stages and records, and the runs that are started in it."""

    def __init__(self, shelf, name):
        self.path = shelf / name
        self.path.mkdir()
        (self.path / "data").symlink_to(shelf / "data")
        self.output = shelf / f"{name}.txt"

    def start(self, *arguments):
        """Start ``harness run`` in a new process."""
        process = FORK.Process(target=self._run, args=arguments)
        process.start()
        return process

    def _run(self, *arguments):
        os.setsid()
        os.environ["HARNESS_HOME"] = str(self.path)
        out = os.open(self.output, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.argv = ["harness", "run", *arguments]
        harness_main()

    def finish(self, *arguments):
        """Run the command to its end; return its status."""
        return ended(self.start(*arguments))

    def said(self):
        """What all runs have printed."""
        return self.output.read_text(errors="replace")

    def done(self):
        """The number of finished stages."""
        return len(list(self.path.glob("stages/*/done.json")))

    def has(self, pattern):
        """Whether a file is there."""
        return any(self.path.glob(pattern))

    def phase(self):
        """Where the run is, in a word, from the files that it has written."""
        begun = len(list(self.path.glob("stages/*/lock")))
        if self.has("records/*"):
            return "in the test"
        if not begun:
            return "before the first stage"
        return "in a stage" if begun > self.done() else "between stages"

    def record(self):
        """The only record without its cost, which its digest covers."""
        (path,) = self.path.glob("records/*.json")
        content = json.loads(path.read_text())
        content.pop("cost")
        return content


def ended(process, seconds=PATIENCE):
    """Wait for a process; return its status, or None if it had to be ended."""
    process.join(seconds)
    if process.exitcode is None:
        for pid in (*children(process.pid), process.pid):
            kill(pid)
        process.join()
        return None
    return process.exitcode


def children(pid):
    """The processes that a process has started."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def kill(pid):
    """Kill a process if it is there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def run_of(method, *further):
    """The arguments of a method's run."""
    return ("--plugin", method, *CHEAP, "--stage", "epochs=2", *further)


ONE = ("--gpus", "0", "--checkpoint-seconds", "0")
TWO = ("--cpu-ranks", "2", "--checkpoint-seconds", "0")


class Trial:
    """One part's scratch folder and its uninterrupted runs."""

    def __init__(self, shelf, asked):
        self.shelf, self.asked = shelf, asked
        self.random = random.Random(asked.seed)
        self.numbers = iter(range(10_000))
        self.whole = {}

    def home(self):
        """A new home."""
        return Home(self.shelf, f"home{next(self.numbers)}")

    def reference(self, command):
        """The record of an uninterrupted run, and its seconds."""
        if command not in self.whole:
            home, begin = self.home(), time.monotonic()
            status = home.finish(*command)
            if status != 0:
                sys.exit(f"{' '.join(command)} ended with {status}: {home.said()[-2000:]}")
            self.whole[command] = home.record(), time.monotonic() - begin
        return self.whole[command]

    def verdict(self, home, status, command):
        """What became of a home whose run has ended, in a few words."""
        if status is None:
            return "hangs"
        if status != 0:
            return f"status {status}: {home.said().splitlines()[-1][:120]}"
        if found := TROUBLE.search(home.said()):
            line = next(line for line in home.said().splitlines() if found[0] in line)
            return f"said {line[:120]!r}"
        same = home.record() == self.reference(command)[0]
        return "equal" if same else "another record"


def kills(trial):
    """Kill one process at random moments of its run, again and again, until enough have hit."""
    for method in trial.asked.methods:
        yield killed(trial, method, run_of(method, *ONE), lambda process, _: [process.pid])


def ranks(trial):
    """The same on two ranks: in turn the command that started them, and one of them."""

    def choose(process, number):
        found = children(process.pid)
        return [process.pid if number % 2 or not found else trial.random.choice(found)]

    command = run_of("malong_curriculum", *TWO)
    yield killed(trial, "malong_curriculum, 2 ranks", command, choose)


def killed(trial, name, command, choose):
    """Return the row of one command."""
    _, length = trial.reference(command)
    hits, phases, ends = 0, Counter(), Counter()
    while hits < trial.asked.kills:
        home = trial.home()
        while True:
            process = home.start(*command)
            wait = trial.random.uniform(0, length) if hits < trial.asked.kills else PATIENCE
            process.join(wait)
            if process.exitcode is not None:
                break
            where = home.phase()
            for pid in choose(process, hits):
                if kill(pid):
                    hits += 1
                    phases[where] += 1
            ended(process)
        ends[trial.verdict(home, process.exitcode, command)] += 1
        shutil.rmtree(home.path)
    return {"run": name, "kills": hits, **fields(phases), "records": words(ends)}


def fields(phases):
    """The columns of the phases."""
    names = ("before the first stage", "in a stage", "between stages", "in the test")
    return {name: phases[name] for name in names}


def words(counter):
    """Counts in words."""
    return ", ".join(f"{count} {what}" for what, count in counter.items())


# What is looked for in HOME, and after how many seconds without a checkpoint one is written.
MOMENTS = {
    "a checkpoint is written": ("stages/*/.checkpoint-*.pt.*", "0"),
    "weights without their marker": ("stages/*/.done.json.*", "5"),
    "a stage is finished": ("DONE", "5"),
    "features are written": ("stages/*/.features.npy", "5"),
    "samples are written": ("stages/*/.samples.npz.*", "5"),
    "predictions are written": ("records/*/.*", "5"),
    "the record is written": ("records/.*.json.*", "5"),
}
TRIES = 6


def moments(trial):
    """Kill when a certain file is there: at a checkpoint, between stages, at the record."""
    for method in trial.asked.methods:
        plain = run_of(method, *ONE)
        for moment, (pattern, seconds) in MOMENTS.items():
            command = run_of(method, "--gpus", "0", "--checkpoint-seconds", seconds)
            trial.whole[command] = trial.reference(plain)
            hits, runs, ends = 0, 0, Counter()
            while hits < trial.asked.moments and runs < TRIES * trial.asked.moments:
                home, runs = trial.home(), runs + 1
                process, before = home.start(*command), 0
                while process.exitcode is None:
                    process.join(0.0003)
                    there = home.done() > before if pattern == "DONE" else home.has(pattern)
                    if there and kill(process.pid):
                        hits, before = hits + 1, home.done()
                        ended(process)
                        break
                status = home.finish(*command)
                ends[trial.verdict(home, status, command)] += 1
                shutil.rmtree(home.path)
                if not hits:
                    break  # this method never writes such a file
            if hits:
                yield {"run": method, "when": moment, "kills": hits, "records": words(ends)}


def nodes(trial):
    """Kill all processes of one of two nodes, start both again, until the run has ended."""
    command = run_of("malong_curriculum", *TWO)
    _, length = trial.reference(command)
    ends, others, hits = Counter(), Counter(), 0
    while hits < trial.asked.nodes:
        home, over = trial.home(), False
        while not over:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            both = []
            for rank in (0, 1):
                where = ("--nodes", "2", "--node-rank", str(rank))
                where = (*where, "--rendezvous", f"127.0.0.1:{port}", "--cpu-ranks", "1")
                command_of = run_of("malong_curriculum", *where, "--checkpoint-seconds", "0")
                both.append(home.start(*command_of))
            lost = hits % 2
            wait = trial.random.uniform(0.2, 1.0) * length if hits < trial.asked.nodes else 0
            begin = time.monotonic()
            while time.monotonic() - begin < wait and both[0].exitcode is None:
                time.sleep(0.05)
            before = len(home.said()) if home.output.exists() else 0
            if wait and both[0].exitcode is None:
                for pid in (both[lost].pid, *children(both[lost].pid)):
                    kill(pid)
                hits += 1
                status = ended(both[1 - lost])
                ended(both[lost])
                lines = [x for x in home.said()[before:].splitlines() if x.startswith("Error: ")]
                others[f"status {status}, {len(lines)} line"] += 1
            else:
                over = True
        statuses = [ended(one) for one in both]
        ends[trial.verdict(home, max(statuses, key=str), command)] += 1
        shutil.rmtree(home.path)
    yield {"nodes lost": hits, "the other node": words(others), "records": words(ends)}


def preemption(trial):
    """Measure from a signal to the checkpoint and to the end, which include the step's rest."""
    for name, size in (("test_resnet", ()), ("resnet50", LARGE)):
        for count in (1, 2):
            place = ("--gpus", "0") if count == 1 else ("--cpu-ranks", "2")
            for number in (signal.SIGUSR1, signal.SIGTERM):
                yield preempted(trial, name, count, number, (*place, *(size or LONG)))


def preempted(trial, name, count, number, further):
    """Return the row of one signal."""
    home = trial.home()
    process = home.start("--plugin", "baseline", *CHEAP, *further)
    begin = time.monotonic()
    while "epoch 0." not in (home.said() if home.output.exists() else ""):
        time.sleep(0.05)
        if process.exitcode is not None or time.monotonic() - begin > PATIENCE:
            return {"network": name, "ranks": count, "signal": number.name, "ended": "no step"}
    time.sleep(trial.random.uniform(0, 1))
    sent, began = time.time(), time.monotonic()
    os.kill(process.pid, number)
    status, took = ended(process), time.monotonic() - began
    (folder,) = home.path.glob("stages/*")
    found = newest_checkpoint(folder, print)
    written = found.with_suffix(".json").stat().st_mtime - sent if found else None
    size = found.stat().st_size / 1e6 if found else 0
    shutil.rmtree(home.path)
    return {
        "network": name,
        "ranks": count,
        "signal": number.name,
        "checkpoint, MB": size,
        "signal to checkpoint, s": written,
        "signal to end, s": took,
        "ended": f"status {status}",
    }


def started(home, words, **environment):
    """Run a whole command in a new interpreter; return its status and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words],
        env=os.environ | {"HARNESS_HOME": str(home.path)} | environment,
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    with home.output.open("a") as file:
        file.write(done.stdout + done.stderr)
    return done.returncode, done.stdout + done.stderr


def clock(trial):
    """Times in the future, a clock that goes back in a run, and verdicts kept by time."""
    command = run_of("malong_curriculum", *ONE)
    trial.reference(command)
    home = trial.home()
    yield dated_ahead(trial, home, command)
    yield altered_and_dated(home)
    yield set_back(trial, command)


def dated_ahead(trial, home, command):
    """Kill a run, date all its files a day ahead, and go on."""
    process = home.start(*command)
    while process.exitcode is None and not home.done():
        process.join(0.01)
    kill(process.pid)
    ended(process)
    left = home.path / "records" / ".x.json.0123456789abcdef"
    left.parent.mkdir(exist_ok=True)
    left.write_text("")
    future = time.time() + 86_400
    for path in home.path.rglob("*"):
        os.utime(path, (future, future), follow_symlinks=False)
    status = home.finish(*command)
    swept = "leftover swept" if not left.exists() else "LEFTOVER STAYS"
    return {
        "fault": "every file of a killed run dated a day ahead",
        "outcome": f"{trial.verdict(home, status, command)}, {swept}",
    }


def altered_and_dated(home):
    """Alter predictions, with other times, beside verdicts that are kept by time."""
    found = []
    for back in (86_400, -86_400):  # the verdicts' file, and an answer altered behind its back
        (answers,) = home.path.glob("records/*/test-10-views-last.npz")
        started(home, ("leaderboard",))  # its verdicts are kept
        content = bytearray(answers.read_bytes())
        whole = bytes(content)
        content[len(content) // 2] ^= 1
        answers.write_bytes(content)
        os.utime(answers, (time.time() + back,) * 2)
        status, altered = started(home, ("verify",))
        _, board = started(home, ("leaderboard",))
        found.append(status != 0 and "altered" in altered + board)
        answers.write_bytes(whole)
        status, _ = started(home, ("verify",))
        found.append(status == 0)
    return {
        "fault": "predictions altered, dated a day back or ahead; verified.json kept",
        "outcome": "found each time" if all(found) else f"MISSED {found}",
    }


def set_back(trial, command):
    """Set the clock back while a run trains."""
    if not trial.asked.faketime:
        return {"fault": "clock set back in a run", "outcome": "not tried: no --faketime"}
    home, offset = trial.home(), trial.shelf / "offset"
    offset.write_text("+0")
    faked = {
        "LD_PRELOAD": str(trial.asked.faketime),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "HARNESS_HOME": str(home.path),
    }
    with home.output.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "harness", "run", *command],
            env=os.environ | faked, stdout=output, stderr=output,
        )  # fmt: skip
        while process.poll() is None:
            time.sleep(0.05)
            if home.has("stages/*/done.json"):
                offset.write_text("-2d")
    return {
        "fault": "clock set back two days in a run (libfaketime)",
        "outcome": trial.verdict(home, process.returncode, command),
    }


def disk(trial):
    """Fill a small disk while one of two ranks writes; then make room and go on."""
    if "ENDURANCE_DISK" not in os.environ:
        own = ["unshare", "--map-root-user", "--mount", sys.executable, __file__, "--parts=disk"]
        path = trial.shelf / "disk.json"
        try:
            subprocess.run(
                [*own, f"--json={path}", f"--seed={trial.asked.seed}"], check=True,
                env=os.environ | {"ENDURANCE_DISK": "1"}, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        except (OSError, subprocess.CalledProcessError) as error:
            yield {"full while": "not tried", "first run": str(error)[:200]}
            return
        yield from json.loads(path.read_text())["disk"]
        return
    command = run_of("malong_curriculum", *TWO)
    trial.reference(command)
    patterns = {
        "the first stage is trained": "stages/*/samples.json",
        "features are written": "stages/*/done.json",
        "a checkpoint was written": "stages/*/checkpoint-*.json",
        "the test is made": "records/*",
    }
    for when, pattern in patterns.items():
        home = trial.home()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", home.path], check=True)
        (home.path / "data").symlink_to(trial.shelf / "data")
        process = home.start(*command)
        while process.exitcode is None and not home.has(pattern):
            process.join(0.002)
        ballast = home.path / "ballast"
        fill(ballast)
        status = ended(process)
        first = f"status {status}, {words(Counter(heads(home.said())))}"
        ballast.unlink()
        home.output.unlink()
        again = home.finish(*command)
        yield {
            "full while": when,
            "first run": first,
            "the same command, with room": trial.verdict(home, again, command),
        }
        subprocess.run(["umount", home.path], check=True)


def heads(said):
    """The first words of the errors that were printed."""
    for line in said.splitlines():
        if line.startswith("Error: "):
            yield "line on a full disk" if "the disk is full" in line else f"line {line[:90]!r}"
        elif line.startswith("Traceback"):
            yield "TRACEBACK"


def fill(path):
    """Fill the disk that a file is on."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


NO_FLOCK = """
import errno, fcntl, os
def flock(file, operation):
    number = getattr(errno, os.environ["NO_FLOCK"])
    raise OSError(number, os.strerror(number))
fcntl.flock = flock
"""


def locks(trial):
    """Let flock fail as on a disk without locks, by a sitecustomize; two commands at once."""
    (trial.shelf / "sitecustomize.py").write_text(textwrap.dedent(NO_FLOCK))
    command = run_of("baseline", *ONE)
    trial.reference(command)
    for number in ("ENOLCK", "EOPNOTSUPP", "ENOSYS"):
        home = trial.home()
        path = f"{trial.shelf}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        without = {"PYTHONPATH": path, "NO_FLOCK": number}
        status, said = started(home, ("run", *command), **without)
        lines = [line for line in said.splitlines() if "lock" in line]
        yield {
            "flock raises": number,
            "outcome": trial.verdict(home, status, command),
            "lines on it": len(lines),
        }
    for name, without in (("flock as usual", {}), ("ENOLCK", {"NO_FLOCK": "ENOLCK"})):
        home = trial.home()
        with ThreadPoolExecutor(2) as pool:
            path = {"PYTHONPATH": f"{trial.shelf}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
            call = partial(started, home, ("run", *command), **(path if without else {}), **without)
            both = [one.result() for one in [pool.submit(call) for _ in range(2)]]
        ways = Counter(f"status {status}{', traceback' * ('Traceback' in said)}"
                       for status, said in both)  # fmt: skip
        again = home.finish(*command)
        yield {
            "flock raises": f"{name}, two commands at once",
            "outcome": f"{words(ways)}; then {trial.verdict(home, again, command)}",
            "lines on it": sum("without locks" in said for _, said in both),
        }


def parser():
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    made.add_argument("--methods", nargs="*", help="[default: all installed]")
    made.add_argument("--kills", type=int, default=20, help="At random moments, of each method.")
    made.add_argument("--moments", type=int, default=1, help="Kills at each certain moment.")
    made.add_argument("--nodes", type=int, default=4, help="Nodes that are lost.")
    made.add_argument("--seed", type=int, default=0, help="Of the random moments.")
    made.add_argument("--faketime", type=Path, help="Path of libfaketimeMT.so.1.")
    made.add_argument("--json", type=Path)
    return made


def main():
    asked = parser().parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        shelf = Path(folder)
        asked.methods = asked.methods or plugins_with("plan", shelf)
        (shelf / "data").mkdir()
        generate(shelf / "data" / f"synthweb-v{VERSION}-tiny-0", "tiny", 0, processes=1)
        trial = Trial(shelf, asked)
        for part in asked.parts:
            rows = found[part] = []
            for row in globals()[part](trial):
                rows.append(row)
                print(json.dumps(row), file=sys.stderr, flush=True)
            print(f"\n{part}: {globals()[part].__doc__.splitlines()[0]}")
            print(tabulate(rows, "keys", "github", floatfmt=".2f"), flush=True)
            if asked.json:
                asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
