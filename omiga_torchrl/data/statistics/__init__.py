"""Statistics of a dataset."""
