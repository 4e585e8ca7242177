"""Benchmarks of bundles: latency, throughput, start-up and memory on this machine, without torch."""

from .result import Result, Row, Start, Summary

__all__ = ["Result", "Row", "Start", "Summary"]
