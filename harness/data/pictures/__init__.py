"""Pictures: where their bytes lie, how they are decoded and loaded."""
