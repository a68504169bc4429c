"""Pictures that stay in their tar archives: walked once, joined with the lists, read by place."""
