"""Files that file managers leave beside and inside archives; no list names them."""

from __future__ import annotations

import re

# macOS, Windows and Synology. "._NAME" holds macOS metadata of NAME.
_LITTER = re.compile(
    rb"(?:^|/)(?:\._[^/]*|\.DS_Store|[Tt]humbs\.db|desktop\.ini|(?:__MACOSX|@eaDir)(?:/.*)?)$",
    re.DOTALL,
)


def is_litter(name: bytes) -> bool:
    """Return whether a file of this name, with or without folders, is skipped.

    >>> is_litter(b"google/._a.jpg"), is_litter(b"__MACOSX/a.jpg"), is_litter(b"google/a._b.jpg")
    (True, True, False)
    """
    return _LITTER.search(name) is not None
