"""What several noise tricks that cluster features share."""
