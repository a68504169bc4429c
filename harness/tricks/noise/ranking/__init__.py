"""What several noise tricks that rank samples share."""
