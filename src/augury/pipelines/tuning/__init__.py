"""Stage `tuning`."""
