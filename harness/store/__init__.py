"""The content of HOME: files written whole, locks, stages, records."""
