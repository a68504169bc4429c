"""The text lists of WebVision's info folder, parsed to columns."""
