"""Packing an unpacked tree into archives."""
