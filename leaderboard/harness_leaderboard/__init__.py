"""Tables of what was measured, beside what was published; importing this loads nothing."""
