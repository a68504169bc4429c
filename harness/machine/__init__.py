"""The machine: cores, signals, and this process among its ranks."""
