"""Find out which training methods really work on noisy web images."""

__version__ = "0.1.0"
