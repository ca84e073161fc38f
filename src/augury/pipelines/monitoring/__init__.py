"""Stage `monitoring`."""
