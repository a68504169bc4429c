"""Statistics of accuracies: intervals, verdicts on claims, and tests on two runs."""
