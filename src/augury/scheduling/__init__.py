"""Continuous training on a single machine: when jobs are due, a table that outlives its readers, and who runs them."""
