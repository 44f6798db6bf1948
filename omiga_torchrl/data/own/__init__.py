"""Data of one's own, in memory or as a stream, on the same way into a dataset that files take."""
