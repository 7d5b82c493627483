"""Training: one loop for every family, its weights' moving average, checkpoints, and recipes that put them together."""
