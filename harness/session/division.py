"""Work that the ranks divide between them: calls for each class, and texts to encode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from harness.training.ranks import Ranks

Item = TypeVar("Item")
Found = TypeVar("Found")
Part: TypeAlias = tuple[list[tuple[int, Found]], Exception | None]
"""What one rank found, by the place of its item, or why it failed."""
GROUP = 1_024  # texts that one rank encodes together


def divide(ranks: Ranks, work: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
    """Return ``work(item)`` for every item, in order, in every rank.

    Large items are dealt out first, each to the rank that has least so far. A rank works on as many
    at once as it has threads, each with one thread of the libraries: with several, the sums of
    K-means depend on their timing. An error of any rank is raised in all.
    """
    own = _deal([_size(item) for item in items], ranks.world_size)[ranks.rank]
    found: list[tuple[int, Found]] = []
    failed: Exception | None = None
    try:
        with threadpool_limits(1), ThreadPoolExecutor(torch.get_num_threads()) as pool:
            found = list(zip(own, pool.map(work, [items[place] for place in own]), strict=True))
    except Exception as error:  # raised below, in every rank
        failed = error
    parts = cast("list[Part[Found]]", ranks.gather((found, failed)))
    for _, error_there in parts:
        if error_there is not None:
            raise error_there
    by_place = dict(pair for part, _ in parts for pair in part)
    return [by_place[place] for place in range(len(items))]


def encode_divided(
    ranks: Ranks, encode: Callable[[Sequence[str]], NDArray[np.float32]], texts: Sequence[str]
) -> NDArray[np.float32]:
    """Return the vectors ``(N, D)`` of the texts in every rank; equal texts are encoded once.

    The ranks take turns with groups of texts of about one length. The division into groups does not
    depend on the number of ranks. So the vectors do not either: in bf16 they depend on their batch.
    """
    different = sorted(set(texts), key=lambda text: (-len(text), text))
    groups = [different[first : first + GROUP] for first in range(0, len(different), GROUP)]
    own = [text for group in groups[ranks.rank :: ranks.world_size] for text in group]
    vectors = ranks.together(lambda: encode(own) if own else None)
    row: dict[str, NDArray[np.float32]] = {}
    for first, part in enumerate(cast("list[NDArray[np.float32] | None]", ranks.gather(vectors))):
        of_rank = [text for group in groups[first :: ranks.world_size] for text in group]
        row |= dict(zip(of_rank, () if part is None else part, strict=True))
    return np.stack([row[text] for text in texts])


def _deal(sizes: Sequence[int], hands: int) -> list[list[int]]:
    """Return the places of the items of each rank.

    >>> _deal([1, 5, 2, 2], 2)
    [[1], [2, 3, 0]]
    """
    dealt: list[list[int]] = [[] for _ in range(hands)]
    loads = [0] * hands
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        least = loads.index(min(loads))
        dealt[least].append(place)
        loads[least] += sizes[place]
    return dealt


def _size(item: Any) -> int:
    """Return the number of values in an item: an array, or a tuple or list of such."""
    return sum(map(_size, item)) if isinstance(item, (tuple, list)) else int(np.size(item))
