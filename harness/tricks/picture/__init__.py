"""Tricks that change a training crop in the loader's threads: ``Picture -> Picture``."""
