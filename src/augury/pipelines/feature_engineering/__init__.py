"""Stage `feature_engineering`."""
