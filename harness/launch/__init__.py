"""Starting ranks with torch's agent, and where they meet."""
