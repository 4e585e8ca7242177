"""Speech recognition: from a model's outputs to text and timestamps."""
