"""Types of the values inside a graph, against those that ONNX Runtime infers."""

from pathlib import Path

import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from torchless.quantize.types import add_types

HEADER = '<ir_version: 10, opset_import: ["": 20, "com.microsoft": 1]>\n'
GRAPHS = {
    "shared, fixed and declared types": """
        main (float[n, 2] x, int64[n] i) => (float[n, 2] y)
        <float[2, 2] w = {1, 2, 3, 4}> {
            product = MatMul (x, w)
            shape = Shape (product)
            wide = Cast <to = 11> (product)
            narrow = Cast <to = 1> (wide)
            large = Greater (narrow, product)
            zeros = ConstantOfShape (shape)
            ones = ConstantOfShape <value = int64[1] {1}> (shape)
            chosen = Where (large, narrow, zeros)
            values, indices = TopK <axis = -1> (chosen, one)
            one = Constant <value_ints = [1]> ()
            share = Constant <value_float = 0.5> ()
            text = Constant <value_string = "a"> ()
            quantized, scale, zero = DynamicQuantizeLinear (chosen)
            y = Mul (chosen, share)
        }
    """,
    "operators of ONNX Runtime": """
        main (float[n, m, 8] x, float[8] gamma) => (float[n, m, 8] y)
        {
            active = com.microsoft.Gelu (x)
            simple = SimplifiedLayerNormalization <axis = -1, epsilon = 0.00001> (active, gamma)
            first, mean, inverse, sum = com.microsoft.SkipSimplifiedLayerNormalization (simple, x, gamma)
            y = Add (first, sum)
        }
    """,
    "branches": """
        main (bool condition, float[n] x, int64[n] i) => (float[n] y, int64[n] j)
        {
            y, j = If (condition) <
                then_branch = then () => (float[n] a, int64[n] b) { a = Relu (x)  inner = Abs (i)  b = Neg (inner) },
                else_branch = other () => (float[n] c, int64[n] d) { c = Neg (x)  d = Identity (i) }
            >
        }
    """,
}
NAMES = {"float": "FLOAT", "double": "DOUBLE"}


def sorted_text(text: str) -> str:
    """The graph with its constants first, as they must be."""
    lines = text.splitlines()
    constants = [line for line in lines if "= Constant <" in line]
    others = [line for line in lines if line not in constants]
    start = next(place for place, line in enumerate(others) if line.rstrip().endswith("{")) + 1
    return "\n".join([*others[:start], *constants, *others[start:]])


@pytest.mark.parametrize("name", GRAPHS)
def test_types_are_those_of_onnxruntime(name: str) -> None:
    model = ir.from_onnx_text(HEADER + sorted_text(GRAPHS[name]))
    proto = ir.serde.serialize_model(model)
    for node in model.graph.all_nodes():
        for value in node.outputs:
            if not value.is_graph_output():
                value.type = None
    add_types(model)
    declared = {output.name for output in proto.graph.output}
    inner = [output for node in proto.graph.node for output in node.output if output and output not in declared]
    proto.graph.output.extend(onnx.ValueInfoProto(name=output) for output in inner)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    expected = {value.name: value.type.removeprefix("tensor(").removesuffix(")") for value in session.get_outputs()}
    found = {value.name: value.dtype for node in model.graph for value in node.outputs if value.name}
    assert expected
    for value, kind in expected.items():
        dtype = found[value]
        assert dtype is not None, value
        assert dtype.name == NAMES.get(kind, kind.upper()), value


def test_types_inside_branches() -> None:
    model = ir.from_onnx_text(HEADER + GRAPHS["branches"])
    add_types(model)
    types = {value.name: value.dtype for node in model.graph.all_nodes() for value in node.outputs}
    assert types["inner"] == ir.DataType.INT64


def test_initializers(tmp_path: Path) -> None:
    model = ir.from_onnx_text(HEADER + sorted_text(GRAPHS["shared, fixed and declared types"]))
    model.graph.initializers["w"].type = None
    add_types(model)
    assert model.graph.initializers["w"].dtype == ir.DataType.FLOAT
