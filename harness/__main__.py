"""``python -m harness``, which is also how other launchers start a rank."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]  # the working folder: its files must not be imported as libraries
    from harness.cli import main

    main()
