"""Small graphs written as text, and running them."""

from collections import Counter

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

HEADER = '<ir_version: 10, opset_import: ["": 20, "com.microsoft": 1]>\nmain '
K, N = 192, 160
RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, K)).astype(np.float32)


def build(text: str, **weights: np.ndarray) -> ir.Model:
    """A model whose inputs of these names are initializers."""
    model = ir.from_onnx_text(HEADER + text)
    for value in [value for value in model.graph.inputs if value.name in weights]:
        model.graph.inputs.remove(value)
        value.const_value = ir.Tensor(weights[value.name], name=value.name)
        model.graph.register_initializer(value)
    return model


def run(model: ir.Model, **inputs: np.ndarray) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    content = ir.serde.serialize_model(model).SerializeToString()
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(None, inputs)


def random(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def bytes_of(model: ir.Model) -> Counter[str]:
    """Bytes of weights by data type."""
    found: Counter[str] = Counter()
    for value in model.graph.initializers.values():
        found[value.dtype.name] += value.const_value.nbytes
    return found


# Branches with products and embeddings of weights that lie outside of them.
BRANCHES = f"""(bool c, float[n, {K}] x, float[{K}, {N}] w, float[{N}] a, int64[m] i, float[400, {K}] t)
    => (float[n, {N}] y, float[m, {K}] e) {{
    first = MatMul (x, w)
    y = If (c) <
        then_branch = yes () => (float[n, {N}] p) {{
            q = MatMul (x, w)
            p = Add (q, a)
        }},
        else_branch = no () => (float[n, {N}] r) {{
            s = MatMul (x, w)
            r = Sub (first, s)
        }}
    >
    e = If (c) <
        then_branch = look () => (float[m, {K}] g) {{ g = Gather (t, i) }},
        else_branch = other () => (float[m, {K}] h) {{
            j = Neg (i)
            h = Gather (t, j)
        }}
    >
}}"""

# A product of a product, with nothing between them.
CHAIN = f"""(float[n, {K}] x, float[{K}, {N}] w, float[{N}] b, float[{N}, {K}] v, float[{N}, {K}] u)
    => (float[n, {K}] y, float[n, {K}] z) {{
    p = MatMul (x, w)
    q = Add (p, b)
    y = MatMul (q, v)
    z = MatMul (q, u)
}}"""

# What no scheme but static int8 changes, and why.
LEFT_ALONE = {
    "small": (f"(float[n, {K}] x, float[{K}, 2] w) => (float[n, 2] y) {{ y = MatMul (x, w) }}", {"w": random(K, 2)}),
    "activations": (f"(float[n, {K}] x, float[{K}, {N}] u) => (float[n, {N}] y) {{ y = MatMul (x, u) }}", {}),
    "batched": (
        f"(float[2, n, {K}] x, float[2, {K}, {N}] w) => (float[2, n, {N}] y) {{ y = MatMul (x, w) }}",
        {"w": random(2, K, N)},
    ),
    "scaled": (
        f"(float[n, {K}] x, float[{K}, {N}] w) => (float[n, {N}] y) {{ y = Gemm <alpha = 0.5> (x, w) }}",
        {"w": random(K, N)},
    ),
    "one number as bias": (
        f"(float[n, {K}] x, float[{K}, {N}] w, float[1] c) => (float[n, {N}] y) {{ y = Gemm (x, w, c) }}",
        {"w": random(K, N), "c": random(1)},
    ),
    "bias of the caller": (
        f"(float[n, {K}] x, float[{K}, {N}] w, float[{N}] c) => (float[n, {N}] y) {{ y = Gemm (x, w, c) }}",
        {"w": random(K, N)},
    ),
    "from the left": (
        f"(float[{K}, n] x, float[{N}, {K}] w) => (float[{N}, n] y) {{ y = MatMul (w, x) }}",
        {"w": random(N, K)},
    ),
    "half precision": (
        f"(float16[n, {K}] x, float16[{K}, {N}] w) => (float16[n, {N}] y) {{ y = MatMul (x, w) }}",
        {"w": random(K, N).astype(np.float16)},
    ),
    "attention": (
        f"""(float[b, s, {K}] x, float[b, s, {K}] k) => (float[b, s, {K}] y) {{
            y = com.microsoft.MultiHeadAttention <num_heads = 4> (x, k, k)
        }}""",
        {},
    ),
}  # fmt: skip


_ODD = "that scales, transposes its input, or adds what is no constant vector"
REASONS = {
    "small": "a product of fewer than 16384 weights",
    "batched": "a batch of matrices (MatMul)",
    "scaled": f"Gemm {_ODD}",
    "one number as bias": f"Gemm {_ODD}",
    "bias of the caller": f"Gemm {_ODD}",
    "from the left": "the left factor of MatMul",
    "half precision": "not float32",
}
