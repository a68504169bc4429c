"""The networks that a stage's ``backbone`` can name."""
