"""Behaviour policies: training, checkpoints, and playing them as a team."""
