from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from harness.errors import HarnessError, PluginError
from harness.tricks.loss.momentum_prototypes import (
    MomentumPrototypes,
    contrast,
    corrected,
    moved_prototypes,
)


def test_labels_are_corrected_kept_or_dropped_by_hand():
    # q is the classifier's p where the prototypes say the same.
    p = torch.tensor([[0.05, 0.9, 0.05], [0.4, 0.35, 0.25], [0.3, 0.35, 0.35], [0.8, 0.1, 0.1]])
    targets = torch.eye(3)[[0, 0, 0, 2]]
    found = corrected(p.log(), p.log(), targets, 0.5, 0.8)
    # Sure of 1; not sure, but 0.4 > 1/3; 0.3 < 1/3: an outlier; 0.8 is not more than 0.8, and 0.1.
    assert found.targets.argmax(1).tolist() == [1, 0, 0, 2]
    assert found.kept.tolist() == [True, True, False, False]
    # The prototypes alone, and both in halves: q = (0.5, 0.5, 0).
    near = torch.tensor([[50.0, 0, 0]])
    assert corrected(p[:1].log(), near, targets[:1], 0.0, 0.8).kept.tolist() == [True]
    half = corrected(torch.tensor([[0.0, 50, 0]]), near, torch.eye(3)[[2]], 0.5, 0.8)
    assert half.kept.tolist() == [False]


def test_prototypes_move_sample_by_sample():
    random = torch.Generator().manual_seed(0)
    prototypes = normalize(torch.randn(4, 3, generator=random))
    z = normalize(torch.randn(20, 3, generator=random))
    label = torch.randint(0, 3, (20,), generator=random)
    expected = prototypes.clone()
    for one, k in zip(z, label.tolist(), strict=True):
        expected[k] = 0.9 * expected[k] + (1 - 0.9) * one
    expected = expected / expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(moved_prototypes(prototypes, z, label, 0.9), expected)


def test_the_contrast_by_hand_without_a_pictures_own_entries():
    z, positive = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
    queue = torch.tensor([[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])
    own = torch.tensor([[False, True, False]])
    exps = [math.exp(value / 0.5) for value in (0.6, 0.0, -1.0)]
    found = contrast(z, positive, queue, own, 0.5).item()
    assert found == pytest.approx(-math.log(exps[0] / sum(exps)))


@pytest.fixture
def given(make_batch, make_samples):
    """A trick, a batch with all that it needs, logits and raw embeddings."""
    random = torch.Generator().manual_seed(1)
    trick = MomentumPrototypes(size=4, queue=5, temperature=0.5, momentum=0.9, threshold=0.6)
    shared = {name: kept.initial for name, kept in trick.state(make_samples([0, 1, 2])).items()}
    shared["prototypes"] = normalize(torch.randn(3, 4, generator=random))
    shared["queue_rows"] = torch.tensor([2, -1, 0, -1, -1])
    raw = torch.randn(6, 4, generator=random, requires_grad=True)
    batch = replace(
        make_batch(torch.eye(3)[[0, 1, 2, 0, 1, 2]]),
        outputs={"embedding": normalize(raw)},
        extra={"momentum": normalize(torch.randn(6, 4, generator=random))},
        shared=shared,
        progress=0.5,
    )
    return trick, batch, 2 * torch.randn(6, 3, generator=random)


def test_the_papers_loss_part_by_part(given, inner):
    trick, batch, logits = given
    z, keys = batch.outputs["embedding"], batch.extra["momentum"]
    near = z @ batch.shared["prototypes"].T / 0.5
    q = 0.5 * logits.softmax(1) + 0.5 * near.softmax(1)
    labels, kept = [], []
    for row, target in enumerate([0, 1, 2, 0, 1, 2]):
        sure = q[row].max() > 0.6
        labels.append(int(q[row].argmax()) if sure else target)
        kept.append(bool(sure or q[row, target] > 1 / 3))
    assert 0 < sum(kept) < 6
    labels, kept = torch.tensor(labels), torch.tensor(kept)
    l_ce = cross_entropy(logits[kept], labels[kept])
    l_pro = cross_entropy(near[kept], labels[kept])
    rows = []
    for row in range(6):
        others = [
            e for e, r in zip(batch.shared["queue"], [2, -1, 0, -1, -1], strict=True) if r != row
        ]
        against = torch.stack([keys[row], *others]) @ z[row] / 0.5
        rows.append(cross_entropy(against[None], torch.tensor([0])))
    expected = l_ce + l_pro + torch.stack(rows).mean()
    torch.testing.assert_close(trick(inner)(logits, batch).mean(), expected)


def test_labels_stand_before_the_cleaning_and_prototypes_wait(given, inner):
    trick, batch, logits = given
    early = trick(inner)(logits, replace(batch, progress=0.05))
    start = trick(inner)(logits, replace(batch, progress=0.0))
    away = trick(lambda logits, batch: logits.sum(1) * 0)(logits, replace(batch, progress=0.0))
    torch.testing.assert_close(start, inner(logits, batch) + away)
    near = batch.outputs["embedding"] @ batch.shared["prototypes"].T / 0.5
    labels = batch.targets.argmax(1)
    torch.testing.assert_close(early, start + cross_entropy(near, labels, reduction="none"))


def test_prototypes_and_queue_take_what_a_step_found(given):
    trick, batch, logits = given
    z = batch.outputs["embedding"].detach()
    found = trick.update({"logits": logits, "embedding": z}, batch)
    near = z @ batch.shared["prototypes"].T / 0.5
    label, kept = corrected(logits, near, batch.targets, 0.5, 0.6)
    moved = moved_prototypes(batch.shared["prototypes"], z[kept], label[kept].argmax(1), 0.9)
    torch.testing.assert_close(found["prototypes"], moved)
    torch.testing.assert_close(found["queue"], batch.extra["momentum"][:5])
    assert found["queue_rows"].tolist() == [0, 1, 2, 3, 4]
    early = trick.update({"logits": logits, "embedding": z}, replace(batch, progress=0.0))
    moved = moved_prototypes(batch.shared["prototypes"], z, batch.targets.argmax(1), 0.9)
    torch.testing.assert_close(early["prototypes"], moved)


def test_a_queue_longer_than_a_batch_keeps_the_older(given):
    trick, batch, logits = given
    few = replace(
        batch, index=batch.index[:2], targets=batch.targets[:2],
        extra={"momentum": batch.extra["momentum"][:2]},
    )  # fmt: skip
    z = batch.outputs["embedding"].detach()[:2]
    found = trick.update({"logits": logits[:2], "embedding": z}, few)
    assert found["queue_rows"].tolist() == [0, 1, 2, -1, 0]
    torch.testing.assert_close(found["queue"][2:], batch.shared["queue"][:3])


def test_a_missing_embedding_and_bad_knobs_are_errors(given, inner):
    trick, batch, logits = given
    with pytest.raises(PluginError, match="Projection and MomentumView"):
        trick(inner)(logits, replace(batch, outputs={}))
    with pytest.raises(HarnessError, match="threshold"):
        MomentumPrototypes(threshold=1.5)
