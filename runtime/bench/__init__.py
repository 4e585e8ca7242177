"""Benchmarks of bundles: latency, throughput, start-up and memory on this machine, without torch.

Example:
    >>> from torchless.bench import bench
    >>> result = bench("models/sst2", dtype=("fp32", "int8"), batch=(1, 8), length=(16, 128))      # doctest: +SKIP
    >>> result.rows[0].metrics["latency_ms"].p50      # doctest: +SKIP
    5.21
"""

from .failures import Interrupted
from .result import Result, Row, Start, Summary
from .run import bench

__all__ = ["Interrupted", "Result", "Row", "Start", "Summary", "bench"]
