"""``harness data pack``: packs an unpacked data set into tar archives."""
