"""Run a recipe: finished stages and their record."""
