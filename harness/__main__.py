"""``python -m harness``, which is also how other launchers start a rank."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]  # the working folder: what lies there must not be taken for a library
    from harness.cli import main

    main()
