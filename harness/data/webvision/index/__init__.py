"""The index of WebVision's archives: built, opened, checked, read."""
