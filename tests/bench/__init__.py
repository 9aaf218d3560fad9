"""Measurements of the real process against bare servers of the same stack; see docs/performance.md."""
