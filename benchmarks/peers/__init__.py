"""Contenders of a benchmark, each in a process of its own: they need environments that cannot be shared."""
