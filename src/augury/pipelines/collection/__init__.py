"""Stage `collection`."""
