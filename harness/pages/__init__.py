"""HTML pages in one look: the template that all share, its style and script, and plots."""
