"""Starting Python again: what lies in the working folder is never imported there."""

from __future__ import annotations

import sys

# ``-c`` puts the working folder first on the path. ``-P`` would not, but needs Python 3.11.
_LEAVE_OUT_FOLDER = "import sys; sys.path[:1] == [''] and sys.path.pop(0)"


def python(code: str, *arguments: str) -> list[str]:
    """Return the command that runs ``code`` in another Python; ``sys.argv[1:]`` are ``arguments``.

    It finds what this one finds by installation and by PYTHONPATH.
    """
    return [sys.executable, "-c", f"{_LEAVE_OUT_FOLDER}\n{code}", *arguments]
