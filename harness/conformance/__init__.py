"""The contract that every plugin must keep, as checks that its tests can call."""

from __future__ import annotations

from harness.conformance.kit import PluginCheck, check_plugin, plugin_checks

__all__ = ["PluginCheck", "check_plugin", "plugin_checks"]
