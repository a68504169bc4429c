"""Tricks that choose samples anew between epochs: ``Samples -> Samples``."""
