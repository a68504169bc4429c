"""Training through torch.compile, with the compiler that torch really starts."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from harness.errors import HarnessError
from harness.spec import ENGINES
from harness.training.compiled import check_compiler, compiled
from harness.training.engine import Engine
from harness.training.engines import make_engine
from harness.training.interrupt import Interrupted
from harness.training.job import Job
from harness.training.loop import train
from harness.training.ranks import Ranks
from harness.values import Stage

MakeJob = Callable[..., Job]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def compiled_anew() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def score(module: nn.Module) -> dict[str, float]:
    with torch.inference_mode():
        logits = module.eval()(torch.ones(3, 3, 16, 16))
    return {"val_top1": float(logits.softmax(1)[0, 0])}


@pytest.mark.slow
@pytest.mark.timeout(600)  # the compiler reads its headers once: a minute on a busy machine
def test_a_compiled_stage_trains_scores_and_goes_on_like_the_plain_one(
    make_job: MakeJob, network: Callable[[], nn.Module], ranks: Ranks, watcher
) -> None:
    def trained(job: Job, engine: str, stop: int = 0) -> tuple[list[float], Engine]:
        def ask(step: int) -> None:
            if step == stop:
                os.kill(os.getpid(), signal.SIGTERM)

        seen = watcher(after=ask)
        made = make_engine(engine, network(), job.recipe.stage, ranks, {})
        with pytest.raises(Interrupted) if stop else nullcontext():
            train(job, [made], ranks, seen)
        return seen.losses, made

    def job_of(name: str, **stage: object) -> Job:
        return make_job(name, job={"evaluate": score}, epochs=2, **stage)

    plain, eager = trained(job_of("plain"), "torch")
    for engine in ENGINES:
        losses, made = trained(job_of(engine, compile=True), engine)
        np.testing.assert_allclose(losses, plain, rtol=2e-6, err_msg=engine)
        state = made.module.state_dict()
        assert list(state) == list(network().state_dict())  # no _orig_mod: it loads anywhere
        for name, value in eager.module.state_dict().items():
            torch.testing.assert_close(state[name], value, rtol=1e-4, atol=1e-5)
        stopped = job_of(f"{engine} stopped", compile=True)
        begun, _ = trained(stopped, engine, stop=4)
        ended, made = trained(stopped, engine)
        assert begun + ended == losses
        assert all(torch.equal(state[name], v) for name, v in made.module.state_dict().items())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_is_trained_is_really_compiled(
    network: Callable[[], nn.Module], ranks: Ranks, batches
) -> None:
    (batch,) = batches(1, 8)
    for engine in ENGINES:
        torch.compiler.reset()
        made = make_engine(
            engine, network(), Stage(name="t", batch_size=8, compile=True), ranks, {}
        )
        with torch.compiler.set_stance("fail_on_recompile"), pytest.raises(RuntimeError):
            made(batch.images)  # nothing was compiled yet, so it wants to
        assert made.module(batch.images).shape == (8, 6)  # scored as it is


def test_without_a_compiler_one_line_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stage = Stage(name="train", compile=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(HarnessError, match=r"a C\+\+ compiler \(g\+\+; CXX names another\)"):
        check_compiler(stage, CPU)
    with pytest.raises(HarnessError, match=r"a C compiler \(gcc or clang; CC"):
        check_compiler(stage, torch.device("cuda", 0))
    monkeypatch.setenv("CXX", "icpx")
    with pytest.raises(HarnessError, match=r"icpx.*--stage compile=false"):
        check_compiler(stage, CPU)
    check_compiler(replace(stage, compile=False), CPU)


@pytest.mark.slow
def test_only_a_stage_that_asks_is_compiled(network: Callable[[], nn.Module]) -> None:
    module = network()
    assert compiled(module, Stage(name="train")) is module
    view = compiled(module, Stage(name="train", compile=True))
    assert view is not module
    assert {id(p) for p in view.parameters()} == {id(p) for p in module.parameters()}
