"""Comparisons with other ways to train, and checks that these compute the same."""
