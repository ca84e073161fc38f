"""Metrics and their intervals: pure functions of arrays, shared by the stages that judge."""
