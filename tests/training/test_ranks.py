"""Several processes that train together on the CPU."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.assembly.prepare import prepare
from harness.errors import HarnessError
from harness.machine.killed import killed_words
from harness.machine.launch import choose_ranks
from harness.spec import ENGINES, DataSpec, Override, RunSpec
from harness.store.record import ResultRecord
from harness.store.record_files import read_record

pytestmark = pytest.mark.slow

Call = Callable[..., Any]
PATIENCE = 120  # seconds for a process to get anywhere on a busy machine
HARNESS = ("-m", "harness")
TWO = ("--cpu-ranks", "2")
TINY = ("--data", "synthweb:tiny", "--stage", "epochs=2")


def the_record(home: Path) -> ResultRecord:
    (path,) = (home / "records").glob("*.json")
    return read_record(path)


def test_two_ranks_train_and_one_rank_scores_their_weights_the_same(
    tiny_home: Path, tmp_path: Path, call: Call, fork: Call
) -> None:
    command = ("run", "--plugin", "malong_curriculum", "--set", "model=B", *TINY)
    with fork(*HARNESS, *command, *TWO) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert out.count("training took") == 1
    assert err.count("initial: 10 steps") == 1  # one rank speaks
    record = the_record(tiny_home)
    assert record.cost.hardware["devices"] == "2 x cpu"
    assert {stage.ranks for stage in record.stages} == {(2,)}
    tiny = DataSpec(name="synthweb", path="tiny")
    spec = RunSpec(plugin="malong_curriculum", knobs={"model": "B"}, data=tiny)
    asked = replace(spec, home=tiny_home, overrides=(Override("", "epochs", "2"),))
    assert prepare(asked).identity == record.id  # its stages say who trained them
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/data").symlink_to(tiny_home / "data")
    elsewhere = replace(asked, home=tmp_path / "elsewhere")
    alone, together = prepare(elsewhere), prepare(elsewhere, 2)
    assert together.identity == record.id != alone.identity
    assert alone.recipe == together.recipe  # nothing of it depends on the ranks beyond rounding
    assert record.cost.device_seconds == pytest.approx(2 * record.cost.wall_seconds)
    kept = {path: np.load(path)["probabilities"]
            for path in (tiny_home / "records").glob("*/*.npz")}  # fmt: skip
    (features,) = (tiny_home / "stages").glob("*/features.npy")
    seen = np.load(features)

    # The stages are finished; only what was seen and scored is worked out again, by one rank.
    next((tiny_home / "records").glob("*.json")).unlink()
    for path in [*(tiny_home / "stages").glob("*/outputs.json"),
                 *(tiny_home / "stages").glob("*/samples.npz"), *kept]:  # fmt: skip
        path.unlink()
    ended = call(*command)
    assert ended.err.count("reused") == 2, ended
    again = the_record(tiny_home)
    np.testing.assert_allclose(np.load(features), seen, rtol=1e-4, atol=1e-5)
    for path, probabilities in kept.items():
        np.testing.assert_allclose(np.load(path)["probabilities"], probabilities, atol=2e-3)
    strip = {"cost": True, "scores": {"__all__": {"predictions_sha256"}}}
    assert again.model_dump(exclude=strip) == record.model_dump(exclude=strip)


def test_an_error_of_one_rank_ends_all_with_its_one_line(
    tiny_home: Path, break_file: Callable[[Path, Path], None], fork: Call
) -> None:
    data = tiny_home / "data"
    drawn = data.resolve()
    data.unlink()
    subprocess.run(["cp", "-r", drawn, data], check=True)
    picture = max(data.glob("*-tiny-0/val_images_256/*.jpg"))  # in the second rank's share
    break_file(picture.parents[1], picture)
    command = ("run", "--plugin", "baseline", "--engine", "torch", *TINY, *TWO)
    with fork(*HARNESS, *command) as process:
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2, err
    assert err.splitlines()[-1] == (
        f"Error: broken image {picture}: not a picture; val cannot be scored without it"
    )
    assert "Traceback" not in err
    assert err.count("Error:") == 1


def test_ctrl_c_stops_all_ranks_and_any_number_goes_on(
    tiny_home: Path, fork: Call, wait_for: Call
) -> None:
    command = ("run", "--plugin", "baseline", "--engine", "torch")
    command += ("--data", "synthweb:tiny", "--stage", "epochs=8", "--checkpoint-seconds", "600")
    with fork(*HARNESS, *command, *TWO) as process:
        wait_for(process, lambda: bool(list((tiny_home / "stages").glob("*/best-*.pt"))))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "stopped by SIGINT; the same command continues from here"
    assert err.count("stopped by") == 1
    assert "Traceback" not in err
    assert len(list((tiny_home / "stages").glob("*/checkpoint-*.pt"))) == 1
    with fork(*HARNESS, *command) as process:
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "continues at step" in err
    assert "continues with 1 rank, after 2 ranks; its record says so" in err
    record = the_record(tiny_home)
    (stage,) = record.stages
    assert len(stage.history) == 8
    assert stage.ranks == (2, 1)
    # Three do not divide the batch, but nothing is left to train.
    (tiny_home / f"records/{record.id}.json").unlink()
    with fork(*HARNESS, *command, "--cpu-ranks", "3") as process:
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert the_record(tiny_home).id == record.id


def test_a_killed_rank_is_named_with_what_to_try(
    tiny_home: Path, fork: Call, wait_for: Call
) -> None:
    command = ("run", "--plugin", "baseline", "--engine", "torch", *TWO)
    command += ("--data", "synthweb:tiny", "--stage", "epochs=300")
    with fork(*HARNESS, *command) as process:
        wait_for(process, lambda: bool(list((tiny_home / "stages").glob("*/best-*.pt"))))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 137, err
    assert "rank 1 of 2 was killed by SIGKILL" in err
    assert "--stage batch_size" in err


@pytest.mark.parametrize(
    ("number", "kills", "told"),
    [
        (signal.SIGKILL, (0, 0), "was killed by SIGKILL, most likely because the machine's memory"),
        (signal.SIGKILL, (1, 2), "because the memory of this container or job is used up"),
        (signal.SIGKILL, (None, None), "most likely because the machine's memory"),
        (signal.SIGSEGV, (0, 0), "was killed by SIGSEGV, a crash in a library"),
        (signal.SIGBUS, (0, 0), "was killed by SIGBUS, most likely because shared memory"),
        (signal.SIGTERM, (0, 0), "was killed by SIGTERM, sent by something outside"),
        (99, (0, 0), "was killed by signal 99, sent by something outside"),
    ],
)
def test_what_is_said_of_a_killed_rank(
    number: int, kills: tuple[int | None, int | None], told: str
) -> None:
    assert told in killed_words(1, 4, number, kills)


NODES = """
    import sys
    from pathlib import Path
    from harness.errors import HarnessError
    from harness.training import agreement
    from harness.training.agreement import check_one_home, check_one_identity
    from harness.training.ranks import join_ranks

    agreement.SEEN_SECONDS = 0.5  # for the file that no other folder shows
    ranks, shared, own = join_ranks(), Path(sys.argv[1]), Path(sys.argv[2])
    check_one_home(ranks, shared)
    check_one_identity(ranks, "same")
    for check, asked in ((check_one_home, own), (check_one_identity, own.name)):
        try:
            check(ranks, asked)
            print("agreed")
        except HarnessError as error:
            print(error)
    assert not list(shared.glob(".*"))
"""


def test_ranks_with_other_homes_or_other_data_are_refused_in_every_rank(
    tmp_path: Path, fork: Call
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    processes = [
        fork(
            "-c", textwrap.dedent(NODES), str(tmp_path / "shared"), str(tmp_path / name),
            RANK=str(rank), LOCAL_RANK="0", WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
            MASTER_PORT=port, CUDA_VISIBLE_DEVICES="",
        )
        for rank, name in enumerate(("one", "two"))
    ]  # fmt: skip
    for process in processes:
        with process:
            out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        home, data = out.splitlines()
        assert "different folders as HARNESS_HOME" in home
        assert str(tmp_path / "one") in home
        assert str(tmp_path / "two") in home
        assert "the ranks prepared different runs: rank 1" in data


PROGRAM = """
    import gc, json, os, signal, socket, sys
    from pathlib import Path

    from harness.machine.garbage import collect_seldom

    collect_seldom()
    import numpy as np
    import torch
    from timm.layers import BatchNormAct2d
    from torch import nn

    from harness.data.webvision import read_split
    from harness.assembly.contract import Contribution
    from harness.assembly.recipe import StageRecipe
    from harness.errors import HarnessError
    from harness.samples import COLUMNS
    from harness.spec import ENGINES
    from harness.training.engines import make_engine
    from harness.training.interrupt import Interrupted
    from harness.training.job import Job
    from harness.training.loop import train
    from harness.training.ranks import join_ranks
    from harness.tricks.batch.mixup import MixUp
    from harness.tricks.loss.ghm import GHM
    from harness.values import Stage
    import deepspeed
    from dataclasses import dataclass
    from harness.averages import Ema
    from harness.optimizers import Sam
    from harness.values import State

    @dataclass(frozen=True)
    class Keeps:
        def state(self, samples):
            return {"mean": State(initial=torch.zeros(len(samples), 6)),
                    "met": State(initial=torch.zeros(()), per_sample=False),
                    "offset": State(initial=torch.zeros(len(samples), 6), lr=3.0),
                    "bias": State(initial=torch.zeros(6), per_sample=False, lr=0.1)}

        def update(self, outputs, batch):
            likely = torch.softmax(outputs["logits"], dim=1)
            return {"mean": 0.7 * batch.state["mean"] + 0.3 * likely,
                    "met": batch.shared["met"] + len(batch.index) + likely.sum()}

        def __call__(self, loss):
            def shifted(logits, batch):
                moved = logits + batch.state["offset"] + batch.shared["bias"] + batch.state["mean"]
                return loss(moved, batch)
            return shifted

    def tell(home, data):
        ranks = join_ranks()
        samples = read_split(data, "train")
        half = {name: getattr(samples, name)[::2] for name in COLUMNS}
        samples = samples.assign(**half)  # an epoch is four steps
        told = {}

        class Watcher:
            def __init__(self, stop=0):
                self.losses, self.stop, self.first = [], stop, 0
            def on_stage_start(self, stage, steps, first_step):
                self.first = first_step
            def on_batch(self, stage, step, batch, network):
                pass
            def on_step_end(self, stage, step, scalars):
                self.losses.append(scalars["loss"])
                if step == self.stop and ranks.rank == ranks.world_size - 1:
                    os.kill(os.getpid(), signal.SIGTERM)  # one rank hears it, all must stop

        def network(norm):
            torch.manual_seed(ranks.rank)  # rank 0's weights must win, the statistics are all alike
            body = [nn.Conv2d(3, 8, 3, stride=2), norm, nn.SiLU(), nn.AdaptiveAvgPool2d(1)]
            return nn.Sequential(*body, nn.Flatten(), nn.Linear(8, 6))

        def given(trick, slot):
            return Contribution(plugin="test", trick=trick, slot=f"{slot}_tricks")

        def job(name, batch=(), loss=(), **values):
            stage = Stage(name=name, input_size=16, epochs=1, batch_size=48, lr=0.1, **values)
            recipe = StageRecipe(stage=stage, origins={}, batch=batch,
                                 loss=loss, depth=0, key=name)
            return Job(recipe=recipe, samples=samples, seed=3, threads=1, folder=home / name,
                       evaluate=lambda module: {}, report=lambda line: None)

        for engine in ENGINES:
            for values in ({}, {"accumulation": 2, "clip_norm": 0.05}):
                asked = job(f"{engine}{len(values)}", **values)
                watcher = Watcher()
                drawn = network(nn.GroupNorm(2, 8))
                made = make_engine(engine, drawn, asked.recipe.stage, ranks, {})
                train(asked, [made], ranks, watcher)
                weights = torch.cat([p.detach().flatten() for p in made.module.parameters()])
                told[asked.recipe.stage.name] = [watcher.losses, weights.tolist()]

        # Batch norm, synchronised or by groups, with tricks that look across a group.
        across = {"batch": (given(MixUp(), "batch"),), "loss": (given(GHM(bins=3), "loss"),)}
        ways = {"synchronised": {}, "accumulated": {"accumulation": 2},
                "activated": {}, "bf16": {"precision": "bf16"},
                "grouped": {"norm_group": 4, "accumulation": 2, **across}}
        for engine in ENGINES:
            for way, values in ways.items():
                norm = BatchNormAct2d(8) if way == "activated" else nn.BatchNorm2d(8, momentum=0.3)
                asked = job(f"{engine} {way}", **values)
                watcher = Watcher()
                made = make_engine(engine, network(norm), asked.recipe.stage, ranks, {})
                train(asked, [made], ranks, watcher)
                state = {name: value.flatten().tolist()
                         for name, value in made.module.state_dict().items()}
                told[asked.recipe.stage.name] = [watcher.losses, state]

        class Idle(nn.Module):
            def __init__(self):
                super().__init__()
                self.body, self.idle = network(nn.GroupNorm(2, 8)), nn.Linear(2, 2)
            def forward(self, images):
                return self.body(images)

        for engine in ENGINES:
            asked = job(f"{engine} idle")
            try:
                train(asked, [make_engine(engine, Idle(), asked.recipe.stage, ranks, {})], ranks,
                      Watcher())
                told[f"{engine} idle"] = ""
            except HarnessError as error:
                told[f"{engine} idle"] = str(error)

        # What tricks keep, two networks side by side, two gradients an update.
        kept = {"loss": (given(Keeps(), "loss"),)}
        for engine in ENGINES:
            for way, values in {"kept": {}, "kept in parts": {"accumulation": 2},
                                "two": {"networks": 2}, "sam": {"optimizer": Sam()},
                                "averaged": {"average": Ema(decay=0.9)}}.items():
                asked = job(f"{engine} {way}", **kept, **values)
                watcher = Watcher()
                made = [make_engine(engine, network(nn.GroupNorm(2, 8)), asked.recipe.stage, ranks,
                                    {}) for _ in range(asked.recipe.stage.networks)]
                team = train(asked, made, ranks, watcher).team
                tensors = [v for one in team.learners for v in one.state.state().values()]
                tensors += [p for one in team.learners for p in one.module.parameters()]
                tensors += [p for one in team.learners if one.average
                            for p in one.average.module.parameters()]
                flat = torch.cat([v.detach().float().flatten() for v in tensors])
                told[asked.recipe.stage.name] = [watcher.losses, flat.tolist()]

        for engine in ENGINES if ranks.world_size == 2 else ():
            asked = job(f"{engine} stopped", precision="fp16")
            made = make_engine(engine, network(nn.BatchNorm2d(8)), asked.recipe.stage, ranks, {})
            stopped = Watcher(stop=3)
            try:
                train(asked, [made], ranks, stopped)
            except Interrupted as interrupted:
                told[f"{engine} stopped by"] = [stopped.losses, interrupted.number]
            told[f"{engine} means within"] = made.module[1].running_mean.tolist()
            made = make_engine(engine, network(nn.BatchNorm2d(8)), asked.recipe.stage, ranks, {})
            resumed = Watcher()
            train(asked, [made], ranks, resumed)
            told[f"{engine} resumed at"] = [resumed.first, stopped.losses + resumed.losses]
            told[f"{engine} means"] = made.module[1].running_mean.tolist()
            whole = Watcher()
            asked = job(f"{engine} whole", precision="fp16")
            made = make_engine(engine, network(nn.BatchNorm2d(8)), asked.recipe.stage, ranks, {})
            train(asked, [made], ranks, whole)
            told[f"{engine} whole"] = whole.losses

        class Queue(nn.Identity):
            def __init__(self):
                super().__init__()
                self.register_buffer("kept", torch.full((2,), float(ranks.rank)))

        untracked = nn.BatchNorm1d(2, track_running_stats=False)
        mixed = nn.Sequential(Queue(), untracked, nn.BatchNorm1d(2))
        mixed[2].running_var.fill_(float(ranks.rank))
        ranks.average_buffers(mixed)
        told["queue"] = mixed[0].kept.tolist()
        told["variance"] = mixed[2].running_var.tolist()

        told["union"] = sorted(ranks.union({ranks.rank: "a", 7: "b"}).items())
        told["from first"] = ranks.broadcast({"rank": ranks.rank})
        told["gather"] = ranks.gather(ranks.rank)
        told["any"] = ranks.any(ranks.rank == 1, False)
        told["mean"] = ranks.mean(torch.tensor([float(ranks.rank), 2.0])).tolist()
        (home / f"told{ranks.rank}of{ranks.world_size}.json").write_text(json.dumps(told))

    # Imported once: forks are started in no time.
    home, data = map(Path, sys.argv[1:3])
    gc.freeze()  # to look at what was imported would copy it into each fork
    for world_size in (1, 2, 3):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        home_of = home / f"{world_size}"
        home_of.mkdir()
        children = []
        for rank in range(world_size):
            children.append(os.fork())
            if not children[-1]:
                os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank),
                               "WORLD_SIZE": str(world_size), "MASTER_ADDR": "127.0.0.1",
                               "MASTER_PORT": port}
                tell(home_of, data)
                sys.exit()
        failed = [os.waitpid(child, 0)[1] for child in children]
        if any(failed):
            sys.exit(1)
"""


@pytest.fixture(scope="module")
def told(drawn_tiny: Path, tmp_path_factory: pytest.TempPathFactory, fork: Call) -> dict[str, Any]:
    """What the ranks of one, two and three said, by "rank of number"."""
    folder = tmp_path_factory.mktemp("ranks")
    program = textwrap.dedent(PROGRAM)
    with fork("-c", program, str(folder), str(drawn_tiny), CUDA_VISIBLE_DEVICES="") as process:
        _, err = process.communicate(timeout=2 * PATIENCE)
    assert process.returncode == 0, err
    said = {}
    for path in folder.glob("*/told*of*.json"):
        rank, ranks = path.stem.removeprefix("told").split("of")
        said[f"{rank} of {ranks}"] = json.loads(path.read_text())
    return said


@pytest.mark.parametrize("name", [f"{engine}{values}" for engine in ENGINES for values in (0, 2)])
def test_several_ranks_do_what_one_does(told: dict[str, Any], name: str) -> None:
    losses, weights = told["0 of 1"][f"torch{name[-1]}"]
    for ranks in (1, 2, 3):
        found = [told[f"{rank} of {ranks}"][name] for rank in range(ranks)]
        assert all(one == found[0] for one in found)
        np.testing.assert_allclose(found[0][0], losses, rtol=2e-5)
        np.testing.assert_allclose(found[0][1], weights, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("way", ["kept", "kept in parts", "two", "sam", "averaged"])
def test_what_tricks_keep_does_not_depend_on_the_number_of_ranks(
    told: dict[str, Any], engine: str, way: str
) -> None:
    losses, values = told["0 of 1"][f"{engine} {way}"]
    for ranks in (2, 3):
        found = [told[f"{rank} of {ranks}"][f"{engine} {way}"] for rank in range(ranks)]
        assert all(one == found[0] for one in found)
        np.testing.assert_allclose(found[0][0], losses, rtol=2e-5)
        np.testing.assert_allclose(found[0][1], values, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("way", ["synchronised", "accumulated", "activated", "grouped", "bf16"])
def test_batch_norm_does_not_depend_on_the_number_of_ranks(
    told: dict[str, Any], engine: str, way: str
) -> None:
    losses, state = told["0 of 1"][f"{engine} {way}"]
    exact = way != "bf16"
    for ranks in (2, 3):
        for rank in range(ranks):
            found, found_state = told[f"{rank} of {ranks}"][f"{engine} {way}"]
            assert found_state.keys() == state.keys()  # weights fit a network of one rank
            np.testing.assert_allclose(found, losses, rtol=2e-5 if exact else 2e-2)
            for name, values in state.items():
                tolerance = {"rtol": 1e-3, "atol": 2e-5} if exact else {"rtol": 0.2, "atol": 0.05}
                np.testing.assert_allclose(found_state[name], values, err_msg=name, **tolerance)


def test_a_parameter_without_a_gradient_is_named_by_ddp_alone(told: dict[str, Any]) -> None:
    for rank, told_of in told.items():
        several = not rank.endswith("of 1")
        assert told_of["torch idle"] == told_of["deepspeed idle"] == ""
        assert told_of["ddp idle"].startswith(
            "--engine ddp: stage 'ddp idle' trains idle.weight, idle.bias, to which the loss gives "
            "no gradient; use --engine deepspeed or torch"
            if several
            else ""
        )
        assert bool(told_of["ddp idle"]) == several


@pytest.mark.parametrize("engine", ENGINES)
def test_a_signal_to_one_rank_stops_all_and_they_go_on_as_if_it_had_not(
    told: dict[str, Any], engine: str
) -> None:
    for rank in ("0 of 2", "1 of 2"):
        losses, number = told[rank][f"{engine} stopped by"]
        assert len(losses) == 3
        assert number == signal.SIGTERM
        first, losses = told[rank][f"{engine} resumed at"]
        assert first == 3
        np.testing.assert_allclose(losses, told[rank][f"{engine} whole"], rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_batch_norm_statistics_are_those_of_all_ranks(told: dict[str, Any], engine: str) -> None:
    for when in (f"{engine} means within", f"{engine} means"):
        assert told["0 of 2"][when] == told["1 of 2"][when]


def test_buffers_of_other_modules_are_not_averaged(told: dict[str, Any]) -> None:
    for rank in (0, 1):
        assert told[f"{rank} of 2"]["queue"] == [rank, rank]
        assert told[f"{rank} of 2"]["variance"] == [0.5, 0.5]


def test_collectives(told: dict[str, Any]) -> None:
    for rank in ("0 of 2", "1 of 2"):
        assert told[rank]["union"] == [[0, "a"], [1, "a"], [7, "b"]]
        assert told[rank]["from first"] == {"rank": 0}
        assert told[rank]["gather"] == [0, 1]
        assert told[rank]["mean"] == [0.5, 2.0]
        assert told[rank]["any"] == [True, False]
    assert told["0 of 1"]["gather"] == [0]


def test_gpus_and_cpu_ranks_exclude_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(HarnessError, match="exclude each other"):
        choose_ranks(2, 2)
    with pytest.raises(HarnessError, match="this machine has 0; choose 0 or fewer"):
        choose_ranks(2, None)
    with pytest.raises(HarnessError, match="no GPU was found"):
        choose_ranks(1, None)
    assert choose_ranks(None, None) == 1
    assert choose_ranks(0, None) == 1
    assert choose_ranks(None, 3) == 3


def test_the_ranks_part_while_python_still_lives(fork: Call) -> None:
    program = """
        import atexit
        import torch.distributed as dist
        atexit.register(lambda: print("joined", dist.is_initialized()))  # the first is called last
        from harness.training.ranks import join_ranks
        join_ranks()
        print("joined", dist.is_initialized())
    """
    with fork("-c", textwrap.dedent(program)) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert out.split() == ["joined", "True", "joined", "False"]
