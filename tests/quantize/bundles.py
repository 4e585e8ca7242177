"""A bundle of a text classifier with weights enough to be quantized, made without torch."""

from pathlib import Path

import numpy as np

from tests.runtime.factories import make_bundle, reference, save_graph, write_manifest

WORDS = ("good", "bad", "fine", "poor", "great", "awful", "day", "night")
WIDTH, HIDDEN = 128, 256

_GRAPH = """(int64[batch, length] input_ids, int64[batch, length] attention_mask) => (float[batch, labels] logits) {
    rows = Gather(table, input_ids)
    mask = Cast<to = 1>(attention_mask)
    axis = Constant<value_ints = [2]>()
    wide = Unsqueeze(mask, axis)
    kept = Mul(rows, wide)
    length = Constant<value_ints = [1]>()
    sums = ReduceSum<keepdims = 0>(kept, length)
    inner = MatMul(sums, inner_weight)
    moved = Add(inner, inner_bias)
    active = Relu(moved)
    logits = Gemm(active, outer_weight, outer_bias)
}"""


def classifier(folder: Path, *, manifest: bool = True) -> Path:
    """A bundle with one graph: an embedding, a product of 32,768 weights, and a classifier of two labels."""
    make_bundle(folder, "text-classification", dict.fromkeys(WORDS, (0.0, 0.0)), ("NEG", "POS"))
    chance = np.random.default_rng(0)
    weights = {
        "table": chance.normal(size=(len(WORDS) + 5, WIDTH)),
        "inner_weight": chance.normal(size=(WIDTH, HIDDEN)) / np.sqrt(WIDTH),
        "inner_bias": chance.normal(size=HIDDEN),
        "outer_weight": chance.normal(size=(HIDDEN, 2)) / np.sqrt(HIDDEN),
        "outer_bias": np.zeros(2),
    }
    path = folder / "onnx" / "model.onnx"
    save_graph(path, _GRAPH, {name: value.astype(np.float32) for name, value in weights.items()})
    if manifest:
        ids = [[2, 5, 6, 3], [2, 7, 8, 3]]
        write_manifest(folder, "text-classification", references=(reference(folder, ids),))
    return folder


def texts(path: Path) -> Path:
    """A file of twenty texts."""
    path.write_text(
        "".join(f"{WORDS[place % 8]} {WORDS[place * 3 % 7]} day\n" for place in range(20)), encoding="utf-8"
    )
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
