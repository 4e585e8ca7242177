"""Weights in a file, moved to multiples of 64 bytes: their content stays, and kernels can read them."""

import itertools
import subprocess
import sys

import numpy as np
import onnx
import pytest

from torchless import Session, Settings
from torchless.alignment import align
from torchless.environment import onnxruntime

from .factories import parse_graph, save_graph

RNG = np.random.default_rng(0)
# 1,252 bytes each: whatever lies behind one of them begins on no multiple of 8.
ODD = {f"odd_{index}": RNG.standard_normal((313,), dtype=np.float32) for index in range(3)}
PRODUCTS = {f"w_{index}": RNG.standard_normal((64, 64), dtype=np.float32) for index in range(3)}
TEXT = """(float[n, 64] x, bool first) => (float[n, 64] y, float[313] z) {
    a = MatMul(x, w_0)
    s = Add(odd_0, odd_1)
    z = Add(s, odd_2)
    b = MatMul(a, w_1)
    y = If(first) <
        then_branch = one () => (float[n, 64] p) { p = MatMul(b, w_2) },
        else_branch = two () => (float[n, 64] q) { q = Relu(b) }
    >
}"""


@pytest.fixture
def files(tmp_path):
    """A graph and its weights as ONNX Runtime saves them, packed and not."""
    source = save_graph(tmp_path / "source.onnx", TEXT, {**ODD, **PRODUCTS})
    graph, weights = tmp_path / "graph.onnx", tmp_path / "weights.bin"
    options = onnxruntime().SessionOptions()
    options.optimized_model_filepath = str(graph)
    # Constants would be folded: z is one.
    options.graph_optimization_level = onnxruntime().GraphOptimizationLevel.ORT_DISABLE_ALL
    for name, value in {
        "session.optimized_model_external_initializers_file_name": weights.name,
        "session.optimized_model_external_initializers_min_size_in_bytes": "1024",
        "session.save_external_prepacked_constant_initializers": "1",
    }.items():
        options.add_session_config_entry(name, value)
    onnxruntime().InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    return graph, weights


def places(graph):
    """Offset and length of every buffer, by tensor and key."""
    found = {}
    for tensor in tensors(onnx.load(graph, load_external_data=False).graph):
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if entries:
            found[tensor.name, "offset"] = int(entries["offset"]), int(entries["length"])
            for key in entries.keys() - {"location", "offset", "length", "checksum"}:
                name, *buffers = entries[key].split("|")
                for index, buffer in enumerate(buffers):
                    offset, length, _ = buffer.split(";")
                    found[tensor.name, key, name, index] = int(offset), int(length)
    return found


def tensors(graph):
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from tensors(attribute.g)


def test_everything_is_aligned_and_the_same(files):
    graph, weights = files
    before, old = places(graph), weights.read_bytes()
    assert len([key for key in before if len(key) > 2]) == len(PRODUCTS)  # packed
    assert any(offset % 64 for offset, _ in before.values())
    align(graph, weights)
    after, new = places(graph), weights.read_bytes()
    assert after.keys() == before.keys()
    for key, (offset, length) in after.items():
        assert length == before[key][1]
        assert offset % (4096 if length >= 4096 else 64) == 0
        assert new[offset : offset + length] == old[before[key][0] : before[key][0] + length]
    spans = sorted((offset, offset + length) for offset, length in after.values())
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))
    assert sorted(path.name for path in graph.parent.iterdir()) == ["graph.onnx", "source.onnx", "weights.bin"]


def test_nothing_else_of_the_graph_changes(files):
    graph, weights = files
    before = onnx.load(graph, load_external_data=False)
    align(graph, weights)
    after = onnx.load(graph, load_external_data=False)
    assert after != before
    for model in (before, after):
        for tensor in tensors(model.graph):
            del tensor.external_data[:]
    assert after == before


_RUN = """
import sys
import numpy as np
from torchless import Session, Settings
session = Session(sys.argv[1], Settings(optimized=sys.argv[2], threads=1))
for first in (True, False):
    print(float(session.run({"x": np.ones((5, 64)), "first": np.array(first)})["y"].sum()))
"""


def test_kernels_read_what_would_have_been_unaligned(tmp_path, files):
    graph = files[0].with_name("source.onnx")
    plain = Session(graph, Settings(optimized=False, threads=1))
    expected = [float(plain.run({"x": np.ones((5, 64)), "first": np.array(f)})["y"].sum()) for f in (True, False)]
    # In a process of its own: it would end by a fault.
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(graph), str(tmp_path / "cache")], capture_output=True, text=True
    )
    assert done.returncode == 0, done
    assert [float(line) for line in done.stdout.splitlines()] == expected


def test_several_buffers_of_one_weight(tmp_path):
    # What kernels that pack scales beside weights say.
    model = parse_graph("(float[n] x) => (float[n] y) { y = Add(x, w) }", {"w": np.zeros(3, dtype=np.float32)})
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entries = {"location": "w.bin", "offset": "5", "length": "12", "prepacked_0": "Kernel+17|17;3;0|20;4100;9"}
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    content = RNG.bytes(4120)
    (tmp_path / "g.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "w.bin").write_bytes(content)
    align(tmp_path / "g.onnx", tmp_path / "w.bin")
    (found,) = tensors(onnx.load(tmp_path / "g.onnx", load_external_data=False).graph)
    moved = {"offset": "0", "prepacked_0": "Kernel+17|64;3;0|4096;4100;9"}
    assert {entry.key: entry.value for entry in found.external_data} == entries | moved
    new = (tmp_path / "w.bin").read_bytes()
    assert (new[:12], new[64:67], new[4096:]) == (content[5:17], content[17:20], content[20:4120])


@pytest.mark.parametrize("damage", ["garbled", "cut", "key", "weights"])
def test_what_is_not_understood_is_refused(files, damage):
    graph, weights = files
    content = graph.read_bytes()
    if damage == "weights":
        weights.write_bytes(weights.read_bytes()[:-100])
    else:
        new = {"garbled": b"\xff" * 40, "cut": content[:-3]}
        model = onnx.load(graph, load_external_data=False)
        model.graph.initializer[0].external_data.add(key="another", value="1")
        graph.write_bytes(model.SerializeToString() if damage == "key" else new[damage])
    with pytest.raises(ValueError, match=r"protocol buffers|external data has 'another'|weights\.bin ends"):
        align(graph, weights)
