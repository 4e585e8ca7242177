"""Generators of made examples."""
