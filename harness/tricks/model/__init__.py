"""Tricks that change a network."""
