"""Schemas of the raw inputs, named by the catalog's `validator:` keys."""
