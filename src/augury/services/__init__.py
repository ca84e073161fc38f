"""What `python -m augury serve <predictor>` does, one module per predictor, beside the packages that do it."""
