"""From plugins to a recipe: discovery, activation, hooks, identity."""
