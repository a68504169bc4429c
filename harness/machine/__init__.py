"""The machine: starting ranks, cores, hardware and versions."""
