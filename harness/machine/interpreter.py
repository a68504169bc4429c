"""Start another Python that never imports from the working folder."""

from __future__ import annotations

import sys

# ``-c`` puts the working folder first on the path. ``-P`` would not, but needs Python 3.11.
_LEAVE_OUT_FOLDER = "import sys; sys.path[:1] == [''] and sys.path.pop(0)"


def python(code: str, *arguments: str) -> list[str]:
    """Return the command that runs ``code`` in another Python; ``sys.argv[1:]`` are ``arguments``.

    It imports installed packages and those on PYTHONPATH, as this process does.
    """
    return [sys.executable, "-c", f"{_LEAVE_OUT_FOLDER}\n{code}", *arguments]
