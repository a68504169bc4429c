"""Text encoders, the cache of what they encoded, and the masking of query words."""
