"""Rotary positions as ONNX Runtime's operator, over heads that stay where the product left them.

transformers turns pairs of numbers of each head, ``x * cos + rotate_half(x) * sin``, with heads before positions:
eleven nodes for the queries and as many for the keys of every layer. ``com.microsoft::RotaryEmbedding`` reads the
sequences as they are. It looks angles up in a table by position; here the model's own angles, of whatever kind, are
that table, and each token's row in it is its number among all tokens of the call.

References: Su et al. 2021, https://arxiv.org/abs/2104.09864; ONNX Runtime's contrib operator RotaryEmbedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from .nodes import both_ways, constant

_HEADS_FIRST = (0, 2, 1, 3)


@dataclass(frozen=True)
class _Turned:
    """Heads that are turned.

    Attributes:
        source: before, ``(batch, length, heads, head)``.
        target: the reshape that gives them as ``(batch, length, heads * head)``.
        cos: of the angles, ``(batch, length, head)``, both halves alike.
        sin: likewise.
    """

    source: ir.Value
    target: ir.Node
    cos: ir.Value
    sin: ir.Value


def fuse_rotary(graph: ir.Graph) -> None:
    """Replace every such pattern whose angles are the same for both halves of a head."""
    tables: dict[ir.Value, ir.Value] = {}
    rows: dict[ir.Value, ir.Value] = {}
    for node in list(graph):
        found = _turned(node)
        if found is None or not _alike(found):
            continue
        for angles in (found.cos, found.sin):
            if angles not in tables:
                tables[angles] = _table(graph, angles)
        if found.cos not in rows:
            rows[found.cos] = _numbers(graph, found.cos)
        old = found.target.outputs[0]
        source = _unsplit(found.source, old)
        if source is None:
            flat = ir.node("Reshape", [found.source, found.target.inputs[1]], {"allowzero": 1})
            source = flat.outputs[0]
            source.type, source.shape = found.source.type, old.shape
            graph.insert_before(found.target, flat)
        rotary = ir.node(
            "RotaryEmbedding",
            [source, rows[found.cos], tables[found.cos], tables[found.sin]],
            domain="com.microsoft",
        )
        new = rotary.outputs[0]
        new.type, new.shape, new.name = old.type, old.shape, f"{old.name}_rotated"
        graph.insert_before(found.target, rotary)
        old.replace_all_uses_with(new)
    if tables:
        graph.opset_imports.setdefault("com.microsoft", 1)


def _turned(reshape: ir.Node) -> _Turned | None:
    """What a reshape flattens, if that is heads turned by their positions."""
    if reshape.op_type != "Reshape" or reshape.outputs[0].is_graph_output() or not _rank(reshape.outputs[0], 3):
        return None
    back = _producer(reshape.inputs[0], "Transpose")
    total = _producer(back.inputs[0], "Add") if back is not None and _heads_first(back) else None
    if total is None:
        return None
    for plain, half in both_ways(total):
        found = _parts(plain, half)
        if found is not None:
            heads, cos, sin = found
            first = _producer(heads, "Transpose")
            source = first.inputs[0] if first is not None and _heads_first(first) else None
            if source is not None and _rank(source, 4):
                return _Turned(source, reshape, cos, sin)
    return None


def _alike(found: _Turned) -> bool:
    """Whether each row of a batch has angles of its own, which the operator looks up by row, for all of a head."""
    shapes = [value.shape for value in (found.source, found.cos, found.sin)]
    sizes = {None if shape is None else (shape[0], shape[-1]) for shape in shapes}
    return len(sizes) == 1 and None not in sizes


def _parts(plain: ir.Value, half: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value] | None:
    """``x``, ``cos`` and ``sin`` of ``x * cos`` and ``rotate_half(x) * sin``."""
    first, second = _producer(plain, "Mul"), _producer(half, "Mul")
    if first is None or second is None:
        return None
    for rotated, sin in both_ways(second):
        heads = _rotated_half(rotated)
        for given, cos in both_ways(first):
            if heads is not None and given is heads:
                angles = _angles(cos, "Cos"), _angles(sin, "Sin")
                if angles[0] is not None and angles[1] is not None:
                    return heads, angles[0], angles[1]
    return None


def _rotated_half(value: ir.Value) -> ir.Value | None:
    """``x`` where the value is ``concat(-x[..., n/2:], x[..., :n/2])``."""
    joined = _producer(value, "Concat")
    if joined is None or len(joined.inputs) != 2 or joined.attributes.get_int("axis", 0) not in (-1, 3):
        return None
    negated = _producer(joined.inputs[0], "Neg")
    upper = _producer(negated.inputs[0], "Slice") if negated is not None else None
    lower = _producer(joined.inputs[1], "Slice")
    if upper is None or lower is None or upper.inputs[0] is None or upper.inputs[0] is not lower.inputs[0]:
        return None
    size = upper.inputs[0].shape[3] if _rank(upper.inputs[0], 4) and upper.inputs[0].shape is not None else None
    if not isinstance(size, int) or size % 2:
        return None
    start, _, *ends = _bounds(lower)
    middle, end, *others = _bounds(upper)
    if (start, middle) != (0, size // 2) or _bounds(lower)[1] != size // 2 or end is None or end < size:
        return None
    return upper.inputs[0] if ends == others == [3, 1] or ends == others == [-1, 1] else None


def _bounds(node: ir.Node) -> list[int | float | None]:
    """Start, end, axis and step of a slice along one axis."""
    return [_number(value) for value in node.inputs[1:]]


def _angles(value: ir.Value, function: str) -> ir.Value | None:
    """The cosines or sines ``(batch, length, head)`` that a factor holds, with an axis for the heads put in.

    None where the halves of a head are not turned by the same angles, as far as can be seen.
    """
    spread = _producer(value, "Unsqueeze")
    if spread is None or _number(spread.inputs[1]) != 1 or not _rank(spread.inputs[0], 3):
        return None
    source = node = spread.inputs[0]
    producer = node.producer() if node is not None else None
    if producer is not None and producer.op_type == "Mul":  # by the scale of longer contexts
        scaled = [part for part, scale in both_ways(producer) if _number(scale, float) is not None]
        node = scaled[0] if scaled else None
    turned = _producer(node, function)
    joined = _producer(turned.inputs[0], "Concat") if turned is not None else None
    if joined is None or len(joined.inputs) != 2 or joined.attributes.get_int("axis", 0) not in (-1, 2):
        return None
    return source if joined.inputs[0] is joined.inputs[1] else None


def _table(graph: ir.Graph, angles: ir.Value) -> ir.Value:
    """``(batch, length, head)`` to ``(batch * length, head / 2)``."""
    assert angles.shape is not None
    size = angles.shape[2]
    assert isinstance(size, int)  # as that of the heads
    half = size // 2
    bounds = [constant(graph, [number]) for number in (0, half, 2)]
    cut = ir.node("Slice", [angles, *bounds])
    table = ir.node("Reshape", [cut.outputs[0], constant(graph, [-1, half])])
    for node, shape in ((cut, ir.Shape([*angles.shape[:2], half])), (table, ir.Shape([None, half]))):
        node.outputs[0].type, node.outputs[0].shape = angles.type, shape
    _insert_behind(graph, angles, cut, table)
    return table.outputs[0]


def _numbers(graph: ir.Graph, angles: ir.Value) -> ir.Value:
    """The number of each token among all of a call, int64 ``(batch, length)``."""
    sizes = ir.node("Shape", [angles], {"start": 0, "end": 2})
    count = ir.node("ReduceProd", [sizes.outputs[0]], {"keepdims": 0})
    zero, one = (constant(graph, number) for number in (0, 1))
    numbers = ir.node("Range", [zero, count.outputs[0], one])
    shaped = ir.node("Reshape", [numbers.outputs[0], sizes.outputs[0]])
    integers = ir.TensorType(ir.DataType.INT64)
    assert angles.shape is not None
    shapes = (ir.Shape([2]), ir.Shape([]), ir.Shape([None]), ir.Shape(angles.shape[:2]))
    for node, shape in zip((sizes, count, numbers, shaped), shapes, strict=True):
        node.outputs[0].type, node.outputs[0].shape = integers, shape
    _insert_behind(graph, angles, sizes, count, numbers, shaped)
    return shaped.outputs[0]


def _insert_behind(graph: ir.Graph, value: ir.Value, *nodes: ir.Node) -> None:
    producer = value.producer()
    assert producer is not None
    graph.insert_after(producer, nodes)


def _unsplit(heads: ir.Value, flat: ir.Value) -> ir.Value | None:
    """What heads were split from, if that is flat already."""
    split = _producer(heads, "Reshape")
    before = split.inputs[0] if split is not None else None
    if before is None or before.shape is None or flat.shape is None:
        return None
    return before if list(before.shape) == list(flat.shape) else None


def _producer(value: ir.Value | None, operator: str) -> ir.Node | None:
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type == operator and not node.domain else None


def _heads_first(node: ir.Node) -> bool:
    permutation = node.attributes.get("perm")
    return permutation is not None and tuple(permutation.as_ints()) == _HEADS_FIRST


def _rank(value: ir.Value | None, rank: int) -> bool:
    return value is not None and value.shape is not None and value.shape.rank() == rank


def _number(value: ir.Value | None, kind: type = int) -> int | float | None:
    if value is None or value.const_value is None or value.const_value.size != 1:
        return None
    number: int | float = kind(value.const_value.numpy().reshape(()))
    return number
