"""What looks on while a run goes: the console and TensorBoard."""
