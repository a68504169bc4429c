from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.errors import HarnessError, PluginError
from harness.tricks.loss.co_teaching import CoTeaching

TARGETS = torch.eye(3)[[0, 1, 2, 0, 1]]


def late(make_batch, peer):
    return replace(
        make_batch(
            TARGETS,
        ),
        peer_logits=peer[None],
        progress=0.5,
    )


def test_a_network_learns_what_the_other_finds_easy(make_batch, inner):
    own, peer = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    own.requires_grad_()
    values = CoTeaching(forget_rate=0.4, warmup=0.1)(inner)(own, late(make_batch, peer))
    # The algorithm by another way: indices of the peer's three smallest losses, a mean over them.
    chosen = torch.tensor(
        sorted(range(5), key=lambda n: -peer[n].log_softmax(0)[TARGETS[n].argmax()].item())[:3]
    )
    expected = inner(own, make_batch(TARGETS))[chosen].mean()
    torch.testing.assert_close(values.mean(), expected)
    values.mean().backward()
    mine, own.grad = own.grad, None
    expected.backward()
    torch.testing.assert_close(mine, own.grad)


def test_everything_counts_at_the_start_and_the_peer_gets_no_gradient(make_batch, inner):
    own, peer = torch.randn(5, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    batch = replace(late(make_batch, peer), progress=0.0)
    values = CoTeaching(forget_rate=0.4)(inner)(own, batch)
    torch.testing.assert_close(values, inner(own, batch))
    values.sum().backward()
    assert peer.grad is None


def test_a_network_alone_is_an_error(make_batch, inner):
    with pytest.raises(PluginError, match="networks=2"):
        CoTeaching()(inner)(torch.zeros(5, 3), make_batch(TARGETS))


@pytest.mark.parametrize("knobs", [{"forget_rate": 1}, {"forget_rate": -0.1}, {"warmup": 2}])
def test_bad_knobs_are_refused(knobs):
    with pytest.raises(HarnessError, match=f"{next(iter(knobs))}"):
        CoTeaching(**knobs)
