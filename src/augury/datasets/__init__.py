"""Catalog entries that kedro-datasets lacks."""
