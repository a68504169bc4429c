"""The plan and the estimated cost of a run, before it runs."""
