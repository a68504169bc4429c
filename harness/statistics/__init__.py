"""What a difference between two methods is worth: intervals, verdicts, comparisons of two runs."""
