"""The index of WebVision's archives."""
