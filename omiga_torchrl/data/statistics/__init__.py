"""What a dataset contains, in numbers."""
