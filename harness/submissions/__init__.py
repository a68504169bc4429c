"""Runs packed for others, and those of others checked and taken; the challenge's own files."""
