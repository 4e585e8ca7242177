"""Write the tiny graphs that generation on a GPU is made of: ``python scripts/device_graphs.py`` (needs onnx).

They lie in runtime/generation/graphs/, a few hundred bytes each, because the runtime cannot import onnx; a test says
that they are what this writes.
"""

from pathlib import Path

import onnx
import onnx.parser

FOLDER = Path(__file__).resolve().parents[1] / "runtime" / "generation" / "graphs"

_HEADER = '<ir_version: 8, opset_import: ["": 17], producer_name: "torchless">'

GRAPHS = {
    # An array without anything in it.
    "zeros": """zeros (int64[one] size) => (float[size] zeros) {
        zeros = ConstantOfShape(size)
    }""",
    # Rows of caches that lie behind each other; numbers of other kinds are copied as float, bit by bit.
    "rows": """rows (float[parts, old, numbers] source, int64[new] parents) => (float[parts, new, numbers] target) {
        target = Gather<axis = 1>(source, parents)
    }""",
    # The largest scores of each row, largest first; of equal ones the first.
    "largest": """largest (float[rows, vocabulary] scores, int64[one] k) => (
        float[rows, k] values, int64[rows, k] places
    ) {
        values, places = TopK<axis = -1, largest = 1, sorted = 1>(scores, k)
    }""",
    # The same of their log-probabilities.
    "likeliest": """likeliest (float[rows, vocabulary] scores, int64[one] k) => (
        float[rows, k] values, int64[rows, k] places
    ) {
        logarithms = LogSoftmax<axis = -1>(scores)
        values, places = TopK<axis = -1, largest = 1, sorted = 1>(logarithms, k)
    }""",
}
"""Name to what ONNX's text format says of it."""


def serialized() -> dict[str, bytes]:
    """The graphs' files by name."""
    found = {}
    for name, text in GRAPHS.items():
        model = onnx.parser.parse_model(f"{_HEADER} {text}")
        onnx.checker.check_model(model, full_check=True)
        found[f"{name}.onnx"] = model.SerializeToString(deterministic=True)
    return found


def main() -> None:
    """Write the files anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in serialized().items():
        (FOLDER / name).write_bytes(content)
        print(f"{FOLDER / name}: {len(content)} bytes")


if __name__ == "__main__":
    main()
