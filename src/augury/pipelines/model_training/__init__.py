"""Stage `model_training`."""
