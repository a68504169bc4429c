"""A random order of any number of places, computed place by place: no memory, no start."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]
Words = NDArray[np.uint64]

ROUNDS = 10


def shuffled(first: int, count: int, size: int, random: np.random.Generator) -> Places:
    """Return the places ``first`` to ``first + count - 1`` of a random order of 0 to ``size`` - 1.

    Equal generators give the same order, whichever part of it is asked for. Each step, a round of a
    Feistel network, changes one half of a number's bits by a hash of the other half: whatever the
    hash, this maps different numbers to different ones. It is repeated for a number that leaves the
    range (cycle walking), on average less than once.

    **Source:** M. Luby and C. Rackoff, SIAM J. Computing 17(2), 1988; J. Black and P. Rogaway,
    "Ciphers with Arbitrary Finite Domains", CT-RSA 2002, method 2. The hash is the finaliser of
    splitmix64. The number of rounds is our choice. Meant for large sizes: of five places, some
    orders come more often than others.
    """
    bits = max(2, (size - 1).bit_length())
    keys = random.integers(1 << 64, size=ROUNDS, dtype=np.uint64)
    numbers = np.arange(first, first + count, dtype=np.uint64)
    outside = np.arange(count)
    while len(outside):
        numbers[outside] = _mixed(numbers[outside], keys, bits)
        outside = outside[numbers[outside] >= size]
    return numbers.astype(np.int64)


def _mixed(numbers: Words, keys: Words, bits: int) -> Words:
    """Map numbers of that many bits one to one to others."""
    low_bits = np.uint64(bits // 2)
    low_mask = np.uint64((1 << bits // 2) - 1)
    high_mask = np.uint64((1 << bits - bits // 2) - 1)
    high, low = numbers >> low_bits, numbers & low_mask
    for even, odd in keys.reshape(-1, 2):
        low ^= _hashed(high + even) & low_mask
        high ^= _hashed(low + odd) & high_mask
    return (high << low_bits) | low


def _hashed(words: Words) -> Words:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
