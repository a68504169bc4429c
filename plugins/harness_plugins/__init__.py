"""One page per method: the teams' published recipes, made of shared tricks."""
