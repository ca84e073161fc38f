"""Figures and pages in one look, whatever is judged or watched."""
