"""What `python -m augury predict <predictor>` does, one module per predictor."""
