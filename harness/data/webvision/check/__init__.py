"""One pass over a data set that says what would stop a run."""
