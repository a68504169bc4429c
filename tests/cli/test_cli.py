"""The command line: what a user may type, and one clear line for every wrong thing."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from harness.cli import cli
from harness.cli.options import run_spec
from harness.errors import HarnessError
from harness.spec import DataSpec, Override, RunSpec
from harness_reproductions.tables import find_tables

Call = Callable[..., Any]
RUN = (
    *("--plugin", "--set", "--data", "--seed", "--with", "--without", "--stage", "--full-size"),
    *("--engine", "--deepspeed"),
)

# Adding an option is a decision: it stands here, in the docs and in the changelog.
OPTIONS = {
    "": {"--version", "--home", "--plugins-dir", "--help"},
    "run": {
        *(*RUN, "--gpus", "--cpu-ranks", "--nodes", "--node-rank", "--rendezvous"),
        *("--checkpoint-seconds", "--json"),
    },
    "plan": {
        *(*RUN, "--export", "--gpus", "--cpu-ranks", "--nodes", "--accelerator", "--image"),
        "--json",
    },
    "estimate": {
        *(
            *RUN,
            "--gpus",
            "--cpu-ranks",
            "--nodes",
            "--images",
            "--images-per-second",
            "--measure",
            "--hardware",
            "--json",
        ),
    },
    "compare": {"--split", "--protocol", "--metric", "--data", "--output", "--json"},
    "ablate": {
        *(*RUN, "--seeds", "--split", "--dry-run", "--gpus", "--cpu-ranks", "--json"),
        *("--submit", "--submit-option", "--output"),
    },
    "plugins": {"--json"},
    "plugins show": {"--json"},
    "plugins check": {"--data", "--train", "--stage", "--json"},
    "plugins new": {"--kind", "--folder"},
    "plugins disable": set(),
    "plugins enable": set(),
    "leaderboard": {
        *("--data", "--split", "--method", "--seed", "--epoch", "--published", "--noise", "--all"),
        *("--format", "--output", "--add", "--site"),
    },
    "reproduce": {
        *("--data", "--seeds", "--list", "--no-run", "--stage", "--full-size", "--engine"),
        *("--gpus", "--cpu-ranks", "--report", "--markdown", "--json"),
        *("--submit", "--submit-option"),
    },
    "data": set(),
    "data check": {"--edition", "--images", "--json", "--nodes", "--node-rank", "--rendezvous"},
    "data stats": {"--output", "--edition"},
    "data index": {"--output", "--tar", "--texts", "--verify", "--verify-data", "--json"},
    "data pack": {
        *("--short-side", "--untouched", "--quality", "--shard-mib", "--skip-broken", "--threads"),
        "--json",
    },
    "verify": {"--data", "--json"},
    "export": {"--output", "--format", "--benchmark", "--task", "--source"},
    "predict": {"--split", "--data", "--protocol", "--epoch", "--format", "--output"},
    "serve": {"--port"},
    "tensorboard": {"--port", "--host"},
    "score": {"--data", "--split", "--json"},
    "doctor": {"--thorough", "--json"},
}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command by its words."""
    context = click.Context(cli)
    yield "", cli
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                found = command.get_command(context, inner)
                assert found is not None
                yield f"{name} {inner}", found


def test_the_options_are_frozen() -> None:
    found = {}
    for name, command in commands():
        options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
        found[name] = {option.opts[-1] for option in options}
        assert all(o.opts[-1].startswith("--") for o in options)
    assert found == {name: options - {"--help"} for name, options in OPTIONS.items()}


def test_every_option_that_holds_one_value_is_given_once(call: Call, tmp_path: Path) -> None:
    """Click would take the last of ``--plugin baseline --plugin elr``."""
    not_refused = [
        f"{name} {option.opts[-1]}"
        for name, command in commands()
        for option in command.params
        if isinstance(option, click.Option) and not (option.multiple or option.is_flag)
        if "is given twice; give it once"
        not in call(*name.split(), *(option.opts[-1], "1") * 2).err
    ]
    assert not not_refused
    assert "--seed is given 3 times" in call("run", *("--seed", "1") * 3).err
    outcome = call("--home", str(tmp_path), "plugins", "--home", str(tmp_path))
    assert "--home is given twice, before and after the command" in outcome.err
    assert (outcome.status, call("plugins", "--json", "--json").status) == (2, 0)


def test_nothing_is_given_that_is_empty(call: Call) -> None:
    """A shell makes ``--data "$DATA"`` empty if DATA is not set: it must not mean the default."""
    taken = [
        f"{name} {words}"
        for name, command in commands()
        for param in command.params
        if not (isinstance(param, click.Option) and param.is_flag)
        for words in ([param.opts[-1], ""] if isinstance(param, click.Option) else [""],)
        if not call(*name.split(), *words).err.endswith(" is empty; give it a value\n")
    ]
    assert not taken


def test_every_command_explains_itself_by_example() -> None:
    silent = []
    for name, command in commands():
        if f"harness {name}".strip() not in (command.help or ""):
            silent.append(f"harness {name} has no example")
        options = [p for p in command.params if isinstance(p, click.Option) and p.name != "seed"]
        unexplained = [o for o in options if not (o.help or o.show_default or o.hidden)]
        silent += [f"harness {name} {option.opts[-1]} has no help" for option in unexplained]
    assert silent == []


def test_the_examples_of_every_help_can_be_typed() -> None:
    for name, command in commands():
        lines = [line.strip() for line in (command.help or "").splitlines()]
        examples = [line for line in lines if line.startswith("harness ")]
        assert examples, name
        for example in examples:
            words = shlex.split(example.removeprefix("harness ").removeprefix(name))
            # With the names that its parent gives it: click keeps the first help option made.
            flags = ["-h", "--help"]
            context = command.make_context(name, words, help_option_names=flags)
            assert all(map(find_tables, context.params.get("tables", ())))


def test_help_is_asked_for_in_two_ways(call: Call) -> None:
    names = [name for name, _ in commands() if name]
    for name, flag in itertools.product(names, ("-h", "--help")):
        outcome = call(*name.split(), flag)
        assert outcome.status == 0, (name, flag)
        assert outcome.out.startswith(f"Usage: harness {name} "), (name, flag)
        assert outcome.err == "", (name, flag)


def test_the_version_is_told(call: Call) -> None:
    from harness import __version__

    assert call("--version").out == f"harness, version {__version__}\n"


def test_the_home_is_the_options_then_the_environments(
    call: Call, tmp_path: Path, harness_home: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    for options, home in ((), harness_home), (("--home", str(elsewhere)), elsewhere):
        assert call(*options, "plugins").status == 0
        assert (home / "plugins.json").exists()


# every wrong thing: one line

BASELINE = ("--plugin", "baseline", "--data", "synthweb:tiny")
MALONG = ("--plugin", "malong_curriculum", "--data", "synthweb:tiny")
WRONG = [
    (("--plugin", "basline"), "unknown plugin 'basline'; did you mean 'baseline'? installed: "),
    (("--plugin", "base\nline"), "unknown plugin 'base\\nline'"),
    ((*BASELINE, "--with", "consol"), "unknown plugin 'consol'; did you mean 'console'?"),
    ((*MALONG, "--set", "model=Z"), "knob model must be one of A, B, C, D, got 'Z'"),
    ((*MALONG, "--set", "modle=A"), "unknown knob of malong_curriculum 'modle'; did you mean 'm"),
    ((*BASELINE, "--set", "epochs=soon"), "baseline: knob epochs='soon' is not an int"),
    ((*BASELINE, "--set", "lr=nan"), "lr='nan' must be finite"),
    ((*BASELINE, "--set", "epochs"), "--set 'epochs' must be NAME=VALUE"),
    ((*BASELINE, "--set", "=3"), "--set '=3' must be NAME=VALUE"),
    ((*BASELINE, "--set", "epochs=-1"), "baseline: knob epochs must be an int > 0, got -1"),
    ((*BASELINE, "--stage", "train"), "--stage 'train' must be NAME=VALUE"),
    ((*BASELINE, "--stage", "trian.lr=1"), "unknown stage 'trian'; did you mean 'train'?"),
    ((*BASELINE, "--stage", "epoch=1"), "unknown stage field 'epoch'; did you mean 'epochs'?"),
    ((*BASELINE, "--stage", "train.epochs=1.5"), "--stage epochs='1.5' is not an int"),
    (
        (*BASELINE, "--stage", "precision=int8"),
        "precision must be one of fp32, bf16, fp16, got 'int8'",
    ),
    ((*BASELINE, "--stage", "batch_size=0"), "batch_size must be above 0"),
    ((*BASELINE, "--without", "MixUp"), "unknown trick 'MixUp'; this run's tricks: MultiCrop"),
    (("--plugin", "synthweb"), "plugin 'synthweb' does not provide 'plan'"),
    (("--plugin", "console"), "plugin 'console' does not provide 'plan'"),
    (("--plugin", "baseline", "--data", "synthwep"), "unknown plugin 'synthwep'; did you mean 's"),
    (("--plugin", "baseline", "--data", "timm"), "no active plugin provides 'load_samples'"),
    (("--plugin", "baseline", "--data", "synthweb:tinny"), "unknown synthweb preset 'tinny'; did"),
    (("--plugin", "baseline", "--data", "synthweb:tiny?seed=x"), "seed='x' is not a whole number"),
    (("--plugin", "baseline", "--data", "synthweb:tiny?sed=1"), "unknown option of --data synthw"),
    (("--plugin", "baseline", "--data", "synthweb:tiny?seed"), "must read key=value&key=value"),
    (("--plugin", "baseline", "--data", ":tiny"), "names no data set; write NAME:PATH"),
    (("--plugin", "baseline", "--data", "webvision1"), "--data webvision1 needs a folder"),
    (("--plugin", "baseline", "--data", "webvision1:/no/such"), "/no/such"),
    ((*BASELINE, "--with", "webvision1"), "'webvision1' and 'synthweb' both provide 'load_samp"),
    ((*BASELINE, "--with", "baseline"), "--with baseline: it is already the run's method"),
    (("--plugin", "baseline", "--stage", "x.lr=1"), "unknown stage 'x'; stages: train"),
]


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(("arguments", "words"), WRONG)
def test_what_a_user_can_correct_is_one_line(
    call: Call, tiny_home: Path, command: str, arguments: tuple[str, ...], words: str
) -> None:
    assert words in call(command, *arguments).error
    assert [path.name for path in tiny_home.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check", "/no/such"), "/no/such is not a folder; name the one that holds info/"),
        (("stats", "/no/such", "--output", "a.svg"), "/no/such is not a folder"),
        (("stats", "/no/such", "--output", "a.pdf"), "a picture ends in .svg or .png"),
        (("index", "/no/such"), "/no/such is not a folder; name the one that holds WebVision"),
        (("index", "/no/such", "--verify"), "holds no finished index: run harness data index"),
        (("pack", "/no/such", "/no/such"), "/no/such is the data set itself"),
    ],
)
def test_what_is_wrong_with_a_data_set_is_one_line(
    call: Call, arguments: tuple[str, ...], words: str
) -> None:
    pytest.importorskip("matplotlib")
    assert words in call("data", *arguments).error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--gpus", "8"), "--gpus 8: this machine has "),
        (("--gpus", "1", "--cpu-ranks", "2"), "--gpus and --cpu-ranks exclude each other"),
    ],
)
def test_devices_that_are_not_there_are_one_line(
    call: Call, arguments: tuple[str, ...], words: str
) -> None:
    assert words in call("run", *BASELINE, *arguments).error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing option '--plugin'"),
        (("--plugin", "baseline", "--seed", "-1"), "Invalid value for '--seed': -1"),
        (("--plugin", "baseline", "--seed", "x"), "Invalid value for '--seed'"),
        (("--plugin", "baseline", "--gpus", "-1"), "Invalid value for '--gpus'"),
        (("--plugin", "baseline", "--cpu-ranks", "0"), "Invalid value for '--cpu-ranks'"),
        (("--plugin", "baseline", "--engine", "jax"), "Invalid value for '--engine'"),
        (("--plugin", "baseline", "--deepspeed", "/no/such"), "'/no/such' does not exist"),
        (("--plugin", "baseline", "--deepspeed", "/"), "'/' is a directory"),
        (("--plugin", "baseline", "--sed", "1"), "No such option"),
        (("baseline",), "Missing option '--plugin'"),
        (("--plugin", "baseline", "more"), "unexpected extra argument"),
    ],
)
def test_what_click_refuses_is_a_usage_and_one_line(
    call: Call, arguments: tuple[str, ...], words: str
) -> None:
    outcome = call("run", *arguments)
    assert outcome.status == 2
    *usage, error = outcome.err.splitlines()
    assert usage[0].startswith("Usage: harness run ")
    assert error.startswith("Error: ")
    assert words in error
    assert outcome.out == ""


def test_an_unknown_command_is_said(call: Call) -> None:
    outcome = call("trian")
    assert outcome.status == 2
    assert "Error: unknown command 'trian'; did you mean 'run'?" in outcome.err.splitlines()[-1]
    for line, words in (
        ("leaderbord", "did you mean 'leaderboard'?"),
        ("train", "unknown command 'train'; did you mean 'run'?"),
        ("huawei", "did you mean harness run --plugin huawei?"),
        ("plugins shwo baseline", "unknown command 'shwo'; did you mean 'show'?"),
        ("data chek", "unknown command 'chek'; did you mean 'check'?"),
    ):
        assert words in call(*line.split()).error
    assert "Did you mean '--home'?" in call("--hom", "x", "doctor").err


def test_a_home_that_is_a_file_is_said(call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = call("--home", str(tmp_path / "file"), "plugins")
    assert outcome.status == 2
    assert "must be a folder" in outcome.err.splitlines()[-1]


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_home_that_cannot_be_written_is_one_line(
    call: Call, tmp_path: Path, command: str
) -> None:
    (tmp_path / "file").touch()
    home = str(tmp_path / "file" / "home")
    assert home in call("--home", home, command, *BASELINE).error


@pytest.mark.parametrize(
    ("twice", "words"),
    [
        (("--stage", "lr=1", "--stage", "lr=2"), "--stage lr is given twice, as '1' and '2'"),
        (("--set", "lr=1", "--set", "lr=2"), "--set lr is given twice, as '1' and '2'"),
    ],
)
def test_a_value_that_is_given_twice_is_refused(
    call: Call, twice: tuple[str, ...], words: str
) -> None:
    assert words in call("plan", *BASELINE, *twice).error


# --deepspeed


@pytest.mark.parametrize("kind", ["a pipe", "a device"])
def test_a_deepspeed_file_that_is_not_a_file_is_one_line(
    call: Call, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "deepspeed.json"
    if kind == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    error = call("run", *BASELINE, "--deepspeed", str(path)).error
    assert f"--deepspeed {path} cannot be read: not a plain file but {kind}" in error


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "is not JSON"),
        (b"", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 200_000, "is not JSON"),
        (b"[]", "must contain one JSON object"),
        (b'{"timers": {"a": 1, "a": 2}}', "is not JSON: 'a' is given twice"),
        (b" " * (1 << 20) + b"{}", "has 1048578 bytes, more than 1048576"),
        (b'{"train_batch_size": 8}', "'train_batch_size' is decided by the stage; use --stage ba"),
        (b'{"train_micro_batch_size_per_gpu": 8}', "use --stage batch_size=..."),
        (b'{"gradient_accumulation_steps": 8}', "use --stage accumulation=..."),
        (b'{"optimizer": {}}', "use --stage lr=..."),
        (b'{"scheduler": {}}', "use --stage lr=..."),
        (b'{"fp16": {"enabled": true}}', "use --stage precision=..."),
        (b'{"bf16": {"enabled": true}}', "use --stage precision=..."),
        (b'{"torch_autocast": {}}', "use --stage precision=..."),
        (b'{"zero_optimization": {"stage": 2}}', "zero_optimization.stage 2 is refused"),
        (b'{"zero_optimization": 3}', "zero_optimization.stage 3 is refused"),
    ],
)
def test_a_deepspeed_file_that_cannot_be_used_is_one_line(
    call: Call, tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "deepspeed.json"
    path.write_bytes(content)
    assert words in call("plan", *BASELINE, "--deepspeed", str(path)).error


def test_a_deepspeed_file_that_can_be_used_decides_the_key(
    call: Call, tmp_path: Path, tiny_home: Path
) -> None:
    path = tmp_path / "deepspeed.json"
    path.write_text('{"comms_logger": {"enabled": false}}', encoding="utf-8")

    def key(*arguments: str) -> str:
        planned = json.loads(call("plan", *BASELINE, "--json", *arguments).out)
        return str(planned["stages"][0]["key"])

    assert key("--deepspeed", str(path)) != key()


# options become a spec


def asked(**options: Any) -> dict[str, Any]:
    plain = {
        "plugin": "baseline",
        "knobs": (),
        "data": "",
        "extra": (),
        "without": (),
        "seed": 0,
        "overrides": (),
        "full_size": False,
        "engine": "torch",
        "deepspeed": None,
    }
    return plain | options


def test_options_become_a_spec(tmp_path: Path) -> None:
    spec = run_spec(
        tmp_path,
        asked(
            knobs=("a=2", "b=x=y"),
            data="webvision1:/data?source=google",
            extra=("one", "two", "one"),
            without=("MixUp",),
            overrides=("epochs=3", "task-1.lr=0.5", "a.b.lr=1"),
            seed=4,
        ),
    )
    assert spec.knobs == {"a": "2", "b": "x=y"}
    assert spec.data == DataSpec(name="webvision1", path="/data", options={"source": "google"})
    assert spec.extra == ("one", "two")
    assert spec.overrides == (
        Override("", "epochs", "3"),
        Override("task-1", "lr", "0.5"),
        Override("a.b", "lr", "1"),
    )
    assert (spec.seed, spec.home, spec.engine) == (4, tmp_path, "torch")


def test_the_plain_options_are_the_plain_spec(tmp_path: Path) -> None:
    spec = run_spec(tmp_path, asked(engine="deepspeed"))
    plain = RunSpec(plugin="baseline", home=tmp_path, loader_threads=spec.loader_threads)
    assert spec == plain


def test_a_stage_field_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="must be NAME=VALUE"):
        run_spec(tmp_path, asked(overrides=("=3",)))


# streams and signals


def test_an_error_stays_one_line_whatever_is_in_it(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "two\nlines"
    data = f"webvision1:{folder}"
    assert "two lines" in call("plan", "--plugin", "baseline", "--data", data).error


@pytest.mark.slow
def test_a_reader_that_goes_away_causes_no_traceback(harness_home: Path) -> None:
    command = f"{sys.executable} -m harness plugins show malong_curriculum | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("malong_curriculum, of webvision-harness")
    assert done.stderr == ""


@pytest.mark.slow
def test_shell_completion_knows_the_plugins(harness_home: Path, tmp_path: Path) -> None:
    environment = os.environ | {
        "_HARNESS_COMPLETE": "bash_complete",
        "COMP_WORDS": "harness run --plugin bas",
        "COMP_CWORD": "3",
    }
    script = Path(sys.executable).with_name("harness")
    if not script.exists():
        pytest.skip("the harness command is not installed beside this Python")
    done = subprocess.run(
        [script], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stdout.split() == ["plain,baseline"]
