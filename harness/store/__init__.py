"""What lies under HOME: files written whole, locks, stages, records."""
