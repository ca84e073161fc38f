"""Stage `data_engineering`."""
