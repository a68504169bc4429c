"""What turns one stage into others."""
