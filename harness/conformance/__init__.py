"""The contract that every plugin must keep, as checks that its tests can call."""

from __future__ import annotations

from harness.conformance.checks import check_plugin

__all__ = ["check_plugin"]
