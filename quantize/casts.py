"""Casts between float32 and float16 in a graph, and in the bodies of its nodes."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from .products import free_name

_FLOAT, _HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16


class Casts:
    """Puts casts into a graph and its bodies; their results get names that no value has."""

    def __init__(self, graph: ir.Graph) -> None:
        values = [value for node in graph.all_nodes() for value in (*node.inputs, *node.outputs)]
        values += [value for part in (graph, *graph.subgraphs()) for value in (*part.inputs, *part.outputs)]
        self._names = {value.name for value in values if value is not None}

    def for_others(self, value: ir.Value, kept: set[ir.Node]) -> None:
        """Give the float16 nodes that use a float32 value a float16 copy of it."""
        others = [(node, index) for node, index in value.uses() if node not in kept]
        if value.dtype != _FLOAT or not others:
            return
        cast = self._cast(value, _HALF)
        for node, index in others:
            node.replace_input_with(index, cast.outputs[0])
        producer = value.producer()
        if producer is not None and producer.graph is not None:
            producer.graph.insert_after(producer, cast)
        elif value.graph is not None:
            value.graph.insert_before(value.graph[0], cast)

    def back(self, nodes: Sequence[ir.Node]) -> None:
        """Give float32 nodes, in the graph's order, float32 copies of what float16 nodes compute."""
        copies: dict[tuple[ir.Value, ir.Graph], ir.Value] = {}  # a branch does not see those of another one
        for node in nodes:
            for index, value in enumerate(node.inputs):
                if value is None or value.dtype != _HALF or node.graph is None:
                    continue
                key = value, node.graph
                if key not in copies:
                    cast = self._cast(value, _FLOAT)
                    node.graph.insert_before(node, cast)
                    copies[key] = cast.outputs[0]
                node.replace_input_with(index, copies[key])

    def results(self, body: ir.Graph, dtype: ir.DataType) -> None:
        """Let a body give floating-point numbers of a type."""
        for index, value in enumerate(body.outputs):
            if value.dtype in (_FLOAT, _HALF) and value.dtype != dtype:
                cast = self._cast(value, dtype)
                body.append(cast)
                body.outputs[index] = cast.outputs[0]

    def output(self, graph: ir.Graph, index: int, value: ir.Value) -> None:
        """Let the graph give float32; the output's name goes to the cast's result."""
        cast = self._cast(value, _FLOAT)
        cast.outputs[0].name, value.name = value.name, free_name(self._names, f"{value.name}_half")
        graph.append(cast)
        graph.outputs[index] = cast.outputs[0]

    def _cast(self, value: ir.Value, dtype: ir.DataType) -> ir.Node:
        name = free_name(self._names, f"{value.name}_{dtype.name.lower()}")
        output = ir.Value(name=name, type=ir.TensorType(dtype), shape=value.shape)
        return ir.node("Cast", [value], {"to": dtype}, outputs=[output])
