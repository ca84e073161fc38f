"""The HTTP service that suggests codes for texts, as Annif's REST interface does."""
