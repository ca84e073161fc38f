"""Promotion: champion and challenger on the same rows, and who predicts from now on."""
