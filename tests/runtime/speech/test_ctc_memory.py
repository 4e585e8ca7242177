"""Ten minutes of sound in chunks: memory for its samples and one batch, whatever its length."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from .ctc_bundle import make_ctc

RATE = 16000
# A convolution of wav2vec2's ratio and width, by far the largest of its activations.
KERNEL, STRIDE, WIDTH = 400, 320, 512

# Peak memory in MiB before and after, in a process that does nothing else.
PROGRAM = """
import resource, sys
import numpy as np
from torchless import pipeline
from torchless.speech.chunks import Clip
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
recognize = pipeline(None, sys.argv[1], threads=1)
rng = np.random.default_rng(0)
block = rng.standard_normal(16000, dtype=np.float32)
recognize(np.tile(block, 20), chunk_length_s=10, return_timestamps="word", beam_width=int(sys.argv[3]))
before = peak()
samples = np.tile(block, int(sys.argv[2]))
answer = recognize(samples, chunk_length_s=10, return_timestamps="word", beam_width=int(sys.argv[3]))
assert answer["chunks"][-1]["timestamp"][1] > int(sys.argv[2]) - 2
print(before, peak(), samples.nbytes / 2**20)
"""


def write_bundle(folder: Path) -> Path:
    """A bundle with a graph of one wide convolution, a ReLU and the head."""
    vocab = ("<pad>", "|", "a", "b", "c", "d")
    make_ctc(folder, vocab=vocab, conv_kernel=[KERNEL], conv_stride=[STRIDE])
    rng = np.random.default_rng(0)
    weights = {
        "kernel": rng.standard_normal((WIDTH, 1, KERNEL), dtype=np.float32) / 20,
        "head": rng.standard_normal((WIDTH, len(vocab)), dtype=np.float32),
        "one": np.array([1]),
    }
    nodes = [
        helper.make_node("Unsqueeze", ["input_values", "one"], ["wide"]),
        helper.make_node("Conv", ["wide", "kernel"], ["heard"], strides=[STRIDE]),
        helper.make_node("Relu", ["heard"], ["features"]),
        helper.make_node("Transpose", ["features"], ["frames"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["frames", "head"], ["logits"]),
    ]
    signature = [
        helper.make_tensor_value_info("input_values", TensorProto.FLOAT, ["batch", "samples"]),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "frames", len(vocab)]),
    ]
    initializers = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "wide", signature[:1], signature[1:], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, folder / "onnx" / "model.onnx")
    settings = folder / "preprocessor_config.json"
    text = settings.read_text(encoding="utf-8").replace('"sampling_rate": 100', f'"sampling_rate": {RATE}')
    settings.write_text(text.replace('"do_normalize": false', '"do_normalize": true'), encoding="utf-8")
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux")
@pytest.mark.parametrize("beam_width", [1, 4])
def test_ten_minutes(beam_width: int, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")
    command = [sys.executable, "-c", PROGRAM, str(folder), "600", str(beam_width)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    before, after, samples = map(float, run.stdout.split())
    assert samples == pytest.approx(36.6, abs=0.1)
    # Twenty seconds were heard before: what ten minutes add is the samples, once, and the times that are told.
    assert after - before < samples + 20, run.stdout
