"""What the batch and loss tricks of a stage keep over its steps, for one network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from harness.assembly.calling import calling
from harness.assembly.contract import Contribution
from harness.errors import PluginError
from harness.samples import Samples
from harness.training.batches import COLUMNS, NAMED
from harness.training.ranks import Ranks
from harness.values import Batch, Stage, State


class StageState:
    """The values that tricks keep, equal in every rank, and what a step has found for them.

    A step reads them as they were before it; ``commit`` ends it. So they do not depend on the
    number of ranks or of accumulation steps.
    """

    def __init__(
        self, tricks: Sequence[Contribution[Any]], stage: Stage, samples: Samples, ranks: Ranks
    ) -> None:
        self._ranks = ranks
        self._owners: list[tuple[Contribution[Any], tuple[str, ...]]] = []
        self._declared: dict[str, State] = {}
        for given in tricks:
            if callable(getattr(given.trick, "state", None)):
                self._declare(given, samples)
        if self._trained and stage.precision == "fp16":
            raise PluginError(
                f"stage {stage.name!r} trains {', '.join(self._trained)} of its tricks, which "
                "fp16's loss scale does not reach; use --stage precision=bf16 or fp32"
            )
        self._values = {
            name: kept.initial.detach().clone().to(ranks.device)
            for name, kept in self._declared.items()
        }
        self._leaves: list[tuple[Tensor, dict[str, Tensor]]] = []
        self._found: list[tuple[dict[str, Tensor], Batch]] = []

    def _declare(self, given: Contribution[Any], samples: Samples) -> None:
        declare: Any = given.trick
        with calling(given.who):
            kept = dict(declare.state(samples))
        for name, one in kept.items():
            if not isinstance(one, State) or not isinstance(one.initial, Tensor):
                raise PluginError(f"{given.who}: state must give a State for {name!r}, not {one!r}")
            if name in self._declared:
                raise PluginError(f"{given.who}: another trick of the stage keeps {name!r} too")
            if one.per_sample and len(one.initial) != len(samples):
                raise PluginError(
                    f"{given.who}: {name!r} has {len(one.initial)} rows for {len(samples)} samples"
                )
        if not callable(getattr(given.trick, "update", None)) and not all(
            one.lr is not None for one in kept.values()
        ):
            raise PluginError(f"{given.who}: its state has neither an update nor a rate lr")
        self._declared |= kept
        self._owners.append((given, tuple(kept)))

    def __bool__(self) -> bool:
        return bool(self._declared)

    @property
    def _trained(self) -> list[str]:
        return [name for name, one in self._declared.items() if one.lr is not None]

    def read(self, batch: Batch) -> Batch:
        """Return the batch with its rows of the state, and what is shared."""
        if not self._declared:
            return batch
        rows: dict[str, Tensor] = {}
        shared: dict[str, Tensor] = {}
        for name, one in self._declared.items():
            value = self._values[name]
            (rows if one.per_sample else shared)[name] = (
                value[batch.index] if one.per_sample else value
            )
        for name in self._trained:
            where = rows if name in rows else shared
            where[name] = where[name].detach().clone().requires_grad_()
        return replace(batch, state=rows, shared=shared)

    def collect(self, answer: Mapping[str, Tensor], batch: Batch) -> None:
        """Take the outputs of a micro-batch, after its backward pass."""
        if not self._declared:
            return
        kept = {**batch.state, **batch.shared}
        self._leaves.append((batch.index, {name: kept[name] for name in self._trained}))
        if len(self._trained) < len(self._declared):
            self._found.append(({k: t.detach() for k, t in answer.items()}, batch))

    @torch.no_grad()
    def commit(self) -> None:
        """End a step: descend, then call the tricks' updates with the global batch."""
        if self._trained:
            self._descend()
        if self._found:
            outputs, batch = self._global()
            batch = self.read(batch)
            for given, names in self._owners:
                if callable(getattr(given.trick, "update", None)):
                    self._update(given, names, outputs, batch)
        self._leaves, self._found = [], []

    def _descend(self) -> None:
        index = self._joined([index for index, _ in self._leaves])
        for name in self._trained:
            one, value = self._declared[name], self._values[name]
            slopes = [_slope(leaves[name]) for _, leaves in self._leaves]
            assert one.lr is not None
            if one.per_sample:
                slope = self._joined(slopes)
                value.index_add_(0, index, slope, alpha=-one.lr / self._ranks.world_size)
            else:
                value.sub_(self._ranks.mean(torch.stack(slopes).sum(0)), alpha=one.lr)

    def _global(self) -> tuple[dict[str, Tensor], Batch]:
        """Return outputs and batch of all ranks, in the order of the global batch, no pictures."""
        batches = [batch for _, batch in self._found]
        outputs = {
            name: self._joined([out[name].float() for out, _ in self._found])
            for name in self._found[0][0]
        }
        whole: dict[str, Any] = {
            name: self._joined([getattr(batch, name) for batch in batches]) for name in COLUMNS
        }
        for name in NAMED:
            keys = getattr(batches[0], name)
            whole[name] = {
                key: self._joined([getattr(batch, name)[key] for batch in batches]) for key in keys
            }
        none = batches[0].images.new_zeros((len(whole["index"]), 0))
        whole |= {"images": none, "views": ()}
        whole |= {"peer_logits": None, "teacher_logits": None, "networks": None}
        return outputs, replace(batches[0], **whole)

    def _joined(self, parts: Sequence[Tensor]) -> Tensor:
        return torch.cat([self._ranks.joined(part) for part in parts])

    def _update(
        self,
        given: Contribution[Any],
        names: tuple[str, ...],
        outputs: dict[str, Tensor],
        batch: Batch,
    ) -> None:
        trick: Any = given.trick
        with calling(given.who):
            found = trick.update(outputs, batch)
        for name, new in dict(found).items():
            if name not in names:
                raise PluginError(
                    f"{given.who}: update gives {name!r}, which its state does not declare"
                )
            one, value = self._declared[name], self._values[name]
            wanted = (len(batch.index), *value.shape[1:]) if one.per_sample else value.shape
            if not isinstance(new, Tensor) or new.shape != wanted or new.dtype != value.dtype:
                raise PluginError(
                    f"{given.who}: update must give {value.dtype} {tuple(wanted)} for {name!r}, "
                    f"not {getattr(new, 'dtype', type(new).__name__)} "
                    f"{tuple(getattr(new, 'shape', ()))}"
                )
            if one.per_sample:
                rows, places = last_of_each(batch.index)
                value[rows] = new.detach()[places]
            else:
                value.copy_(new.detach())

    def state(self) -> dict[str, Tensor]:
        """Return all values."""
        return self._values

    def load_state(self, values: Mapping[str, Tensor]) -> None:
        """Resume from values that ``state`` returned."""
        for name, value in values.items():
            self._values[name].copy_(value)


def last_of_each(index: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows that a batch names, each once, and the last place of each in the batch.

    >>> [t.tolist() for t in last_of_each(torch.tensor([4, 2, 4]))]
    [[2, 4], [1, 2]]
    """
    rows, inverse = torch.unique(index, return_inverse=True)
    places = torch.arange(len(index), device=index.device)
    last = torch.zeros_like(rows).scatter_reduce_(0, inverse, places, "amax", include_self=False)
    return rows, last


def state_bytes(tricks: Sequence[Contribution[Any]], samples: Samples) -> int:
    """Return the bytes that the tricks of a stage keep for one network.

    A trick is asked for its initial tensors; zeros that nobody reads take no memory yet.
    """
    size = 0
    for given in tricks:
        declare: Any = given.trick
        if callable(getattr(declare, "state", None)):
            with calling(given.who):
                kept = declare.state(samples)
            tensors = (getattr(one, "initial", None) for one in kept.values())
            size += sum(t.numel() * t.element_size() for t in tensors if isinstance(t, Tensor))
    return size


def _slope(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
