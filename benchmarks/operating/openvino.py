"""OpenVINO, as the recognition benchmark runs it, with its own counters of performance."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import openvino as ov  # type: ignore[import-not-found]

from ..peers.worker import THREADS
from .kinds import Work, of_openvino, summed


class Graph:
    """A compiled graph; see :class:`.worker.Graph`."""

    def __init__(self, folder: Path, precision: str, *, timed: bool) -> None:
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": THREADS,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": THREADS > 1,
            "PERF_COUNT": timed,
        }
        self._compiled = ov.Core().compile_model(folder / "model.xml", "CPU", options)
        self._request = self._compiled.create_infer_request()
        self._calls = 0
        self._ends: list[tuple[int, dict[str, float]]] = []

    def run(self, arrays: list[Any]) -> None:
        """Call it."""
        self._request.infer(arrays, share_inputs=True)
        self._calls += 1

    def turn_over(self) -> None:
        """Its counters are means of all calls so far: what a turn took is the difference of two sums.

        They are cut to whole microseconds, so that a difference may be a few below zero; over all turns that cancels.
        """
        means = {node.node_name: node.real_time.total_seconds() * 1e3 for node in self._request.profiling_info}
        self._ends.append((self._calls, {name: mean * self._calls for name, mean in means.items()}))

    def spent(self) -> list[dict[str, dict[str, float]]]:
        """A turn's calls on average; the graph that runs describes its nodes, with the shapes of the last call."""
        nodes = {node.get_friendly_name(): node for node in self._compiled.get_runtime_model().get_ops()}
        types = {node.node_name: node.node_type for node in self._request.profiling_info}
        found = []
        for (before, first), (after, last) in pairwise(self._ends):
            works = [
                _work(types[name], nodes.get(name), (ms - first.get(name, 0.0)) / (after - before))
                for name, ms in last.items()
            ]
            found.append(summed(works))
        return found


def _work(operator: str, node: Any, ms: float) -> Work:
    if node is None:
        return of_openvino(operator, "", ms, [], [])
    information = node.get_rt_info()
    layers = information["originalLayersNames"].astype(str) if "originalLayersNames" in information else ""
    given, made = ([_shape(port) for port in ports][:1] for ports in (node.inputs(), node.outputs()))
    return of_openvino(operator, layers, ms, given[0] if given else [], made[0] if made else [])


def _shape(port: Any) -> list[int]:
    shape = port.get_partial_shape()
    return [] if shape.is_dynamic else list(shape.to_shape())
