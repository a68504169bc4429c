"""Tricks that multiply the views of a test image."""
