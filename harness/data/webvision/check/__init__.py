"""``harness data check``: one pass over a data set that finds what would stop a run."""
