"""The published tables and claims, one file for each team."""
