"""The board: measured results beside published ones. Importing this package loads no library."""
