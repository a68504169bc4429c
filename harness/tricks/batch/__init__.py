"""Tricks that change a batch on the device: ``Batch -> Batch``."""
