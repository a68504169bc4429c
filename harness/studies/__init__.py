"""Questions to many runs: make them all, compare two, take a method apart, tell the cost."""
