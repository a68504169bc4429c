"""Shared tricks, one file each, by slot."""
