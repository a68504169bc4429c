"""From a recipe to finished stages and their record."""
