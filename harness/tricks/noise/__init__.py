"""Tricks that select, weigh or relabel training samples."""
