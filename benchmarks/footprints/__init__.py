"""The parts of ``benchmarks.footprint``."""
