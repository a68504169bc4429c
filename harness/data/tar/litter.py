"""What file managers leave beside and inside archives; no list means it."""

from __future__ import annotations

import re

# macOS, Windows and Synology. "._NAME" holds what a Mac knows of NAME beyond its bytes.
_LITTER = re.compile(
    rb"(?:^|/)(?:\._[^/]*|\.DS_Store|[Tt]humbs\.db|desktop\.ini|(?:__MACOSX|@eaDir)(?:/.*)?)$",
    re.DOTALL,
)


def is_litter(name: bytes) -> bool:
    """Whether a file of this name, which may have folders before it, is passed over.

    >>> is_litter(b"google/._a.jpg"), is_litter(b"__MACOSX/a.jpg"), is_litter(b"google/a._b.jpg")
    (True, True, False)
    """
    return _LITTER.search(name) is not None
