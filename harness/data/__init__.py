"""Data sets: reading, drawing, feeding and sampling them."""
