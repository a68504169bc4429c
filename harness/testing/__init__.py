"""Testing a trained network: the only rooms that read the labels of val and test."""
