"""Recipes that train the example checkpoints from made data."""
