"""Training one stage: the loop, the engines behind it, checkpoints and ranks."""
