"""The published tables and claims as code."""
