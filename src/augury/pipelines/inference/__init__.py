"""Inference: the champion predicts rows that nobody knows the outcome of."""
