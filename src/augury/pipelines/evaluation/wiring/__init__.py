"""The nodes of each kind of judgement, instantiated once per predictor; they import their modules when called."""
