"""What a machine can do at best: bytes that it reads, and operations of products, in a second."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

_SIDE = 1024  # of the matrices of a product: some 1 to 4 MiB, which caches hold
_BYTES = 2**29  # that are read: more than caches hold
_TURNS = 7


def measured(threads: int, *, quick: bool = False) -> dict[str, float]:
    """Limits with some threads.

    Returns:
        ``"read_gb_s"``, 1e9 bytes read from memory in a second; ``"fp32_gflops"`` and ``"int8_gflops"``, 1e9 operations
        of a product in float32 and in 8 bits in a second, an addition and a multiplication being two.
    """
    size = _BYTES // 16 if quick else _BYTES
    products = {name: 2e-9 * _SIDE**3 / _best(_product(name, threads)) for name in ("fp32", "int8")}
    return {
        "read_gb_s": round(size / _best(_reading(size, threads)) / 1e9, 2),
        **{f"{name}_gflops": round(found, 1) for name, found in products.items()},
    }


def _best(call: Callable[[], object]) -> float:
    """Seconds of the fastest turns: a limit is what is left when nobody else computes."""
    seconds = []
    for _ in range(_TURNS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.mean(sorted(seconds)[:2])


def _reading(size: int, threads: int) -> Callable[[], object]:
    """NumPy's greatest of an array, a part of it for each thread; it lets other threads run."""
    parts = np.array_split(np.ones(size // 4, np.float32), threads)
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(np.max, parts))


def _product(kind: str, threads: int) -> Callable[[], object]:
    """ONNX Runtime's own product of two matrices."""
    operator, types, result = (
        ("MatMul", (TensorProto.FLOAT, TensorProto.FLOAT), TensorProto.FLOAT)
        if kind == "fp32"
        else ("MatMulInteger", (TensorProto.UINT8, TensorProto.INT8), TensorProto.INT32)
    )
    right = np.ones((_SIDE, _SIDE), helper.tensor_dtype_to_np_dtype(types[1]))
    graph = helper.make_graph(
        [helper.make_node(operator, ["left", "right"], ["product"])],
        "product",
        [helper.make_tensor_value_info("left", types[0], (_SIDE, _SIDE))],
        [helper.make_tensor_value_info("product", result, (_SIDE, _SIDE))],
        [onnx.numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds: dict[str, Any] = {"left": np.ones((_SIDE, _SIDE), helper.tensor_dtype_to_np_dtype(types[0]))}
    return lambda: session.run(None, feeds)
