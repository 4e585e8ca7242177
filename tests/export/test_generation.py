"""The graphs of models that generate, against transformers, which reads every sequence from its beginning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import transformers

from tests.export import models
from tests.export.conftest import read_manifest
from tests.export.tiny import DECODER_ONLY, ENCODER_DECODER, FIRST, HALF, NAMES, TinyModels, load, padded, torch_logits
from torchless import Bundle, InputError
from torchless.export import export

pytestmark = pytest.mark.export

MORE = [pytest.param(name, marks=pytest.mark.slow) for name in ("opt", "gpt_neox", "phi3")]
EVERY = [*NAMES, "mistral", "gemma2", *MORE]
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2}

# Norms without a mean in a layer of the graph that decodes, and of the encoder; one more stands at the end of each.
RMS_NORMS = {
    **dict.fromkeys(("llama", "qwen2", "mistral", "phi3"), (2, 0)),
    **dict.fromkeys(("qwen3", "gemma2"), (4, 0)),
    **dict.fromkeys(("t5", "t5-gated", "mt5"), (3, 2)),
}
UNTIED = ("llama", "qwen2", "qwen3", "mistral", "gpt_neox", "phi3", "t5-gated")


class Sequences:
    """Rows of random tokens that grow in the graphs, while torch reads each of them anew.

    Args:
        tiny: where models and bundles are.
        name: the model.
        lengths: of the prompts, one for each row; an encoder-decoder's inputs have these lengths, and its answers begin
            with two tokens.
        capacity: tokens that rows may grow to.
        dtype: of the graphs.
    """

    def __init__(
        self, tiny: TinyModels, name: str, lengths: Sequence[int], capacity: int = 40, dtype: str = "fp32"
    ) -> None:
        self.random = np.random.default_rng(len(lengths))
        self.model = tiny.model(name)
        self.generator = Bundle.open(tiny.bundle(name), dtype=dtype).generator()
        self.tolerance = TOLERANCE[dtype]
        self.rows = [self.tokens(length).tolist() for length in lengths]
        self.inputs: list[list[int]] | None = None
        encoded = None
        if self.generator.is_encoder_decoder:
            self.inputs = self.rows
            self.rows = [self.tokens(2).tolist() for _ in lengths]
            encoded = self.generator.encode(*padded(self.inputs))
        self.copies = 1
        self.state = self.generator.new_cache(len(lengths), capacity, encoded)

    def tokens(self, count: int) -> np.ndarray:
        return self.random.integers(FIRST, models.VOCABULARY, count)

    def prefill(self) -> None:
        ids, mask = padded(self.rows)
        self.check(self.state.prefill(ids, mask.sum(axis=1)))

    def step(self) -> None:
        tokens = self.tokens(len(self.rows))
        for row, token in zip(self.rows, tokens.tolist(), strict=True):
            row.append(token)
        self.check(self.state.step(tokens))

    def expand(self, copies: int) -> None:
        self.rows = [list(row) for row in self.rows for _ in range(copies)]
        self.copies *= copies
        self.state.expand(copies)

    def reorder(self, parents: Sequence[int]) -> None:
        self.rows = [list(self.rows[parent]) for parent in parents]
        self.state.reorder(np.array(parents))

    def extend(self, count: int) -> None:
        tokens = self.tokens(count)
        logits = self.state.extend(tokens).copy()
        before = len(self.rows[0])
        self.rows[0] += tokens.tolist()
        np.testing.assert_allclose(logits, self.wanted(0)[before:], rtol=self.tolerance, atol=self.tolerance)

    def rewind(self, count: int) -> None:
        for row in self.rows:
            del row[-count:]
        self.state.rewind(count)

    def check(self, logits: np.ndarray) -> None:
        assert logits.dtype == np.float32
        assert self.state.lengths.tolist() == [len(row) for row in self.rows]
        wanted = np.stack([self.wanted(row)[-1] for row in range(len(self.rows))])
        np.testing.assert_allclose(logits, wanted, rtol=self.tolerance, atol=self.tolerance)

    def wanted(self, row: int) -> np.ndarray:
        encoded = None if self.inputs is None else self.inputs[row // self.copies]
        return torch_logits(self.model, self.rows[row], encoded)


@pytest.mark.parametrize("lengths", [(17,), (11, 1, 6)], ids=["one", "ragged"])
@pytest.mark.parametrize("name", EVERY)
def test_steps(tiny: TinyModels, name: str, lengths: tuple[int, ...]) -> None:
    sequences = Sequences(tiny, name, lengths)
    sequences.prefill()
    for _ in range(5):
        sequences.step()


@pytest.mark.parametrize("name", EVERY)
def test_beams(tiny: TinyModels, name: str) -> None:
    """Two inputs of three beams each, which continue each other within their input."""
    sequences = Sequences(tiny, name, (4, 9))
    sequences.prefill()
    sequences.expand(3)
    for parents in ([0, 0, 2, 5, 4, 3], [2, 2, 2, 3, 3, 5], [1, 0, 1, 5, 3, 4], [0, 1, 2, 3, 4, 5], [2, 0, 1, 4, 4, 3]):
        sequences.step()
        sequences.reorder(parents)
    sequences.step()


@pytest.mark.parametrize("name", EVERY)
def test_several_tokens_at_once(tiny: TinyModels, name: str) -> None:
    sequences = Sequences(tiny, name, (8,), capacity=24)
    sequences.prefill()
    sequences.extend(7)
    sequences.rewind(5)
    sequences.step()
    sequences.extend(2)
    sequences.rewind(1)
    sequences.extend(12)


@pytest.mark.parametrize("name", ["gpt2", "llama", "bart"])
def test_to_the_last_position(tiny: TinyModels, name: str) -> None:
    sequences = Sequences(tiny, name, (58, 30), capacity=64)
    sequences.prefill()
    for _ in range(64 - len(sequences.rows[0])):
        sequences.step()
    assert len(sequences.rows[0]) == 64


@pytest.mark.parametrize("name", HALF)
def test_half_precision(tiny: TinyModels, name: str) -> None:
    assert read_manifest(tiny.bundle(name))["dtype"] == {"cpu": "fp32", "cuda": "fp16"}
    sequences = Sequences(tiny, name, (12, 5), dtype="fp16")
    sequences.prefill()
    sequences.expand(2)
    for parents in ([1, 0, 2, 2], [0, 0, 3, 2]):
        sequences.step()
        sequences.reorder(parents)
    sequences.step()


def test_half_precision_caches_are_half(tiny: TinyModels) -> None:
    for name, role in (("gpt2", "model"), ("t5", "decoder_model")):
        graph = read_manifest(tiny.bundle(name))["graphs"][role]["fp16"]
        dtypes = {spec["name"].split(".")[0]: spec["dtype"] for spec in (*graph["inputs"], *graph["outputs"])}
        assert dtypes["past_key_values"] == dtypes["present"] == "float16"
        assert dtypes["logits"] == "float32"
        assert dtypes["input_ids"] == "int64"


def test_sums_beyond_half_precision(tmp_path: Path) -> None:
    """T5 keeps the weights in float32 whose products leave float16's range: their sums stay in float32 too."""
    source = models.generating(tmp_path / "checkpoint", "t5", num_layers=1, scale=0.1)
    model = load(source)
    largest = []
    with torch.no_grad():
        for name, module in model.named_modules():
            if name.endswith("DenseReluDense.wo"):
                module.weight.mul_(1e6)
                module.register_forward_hook(lambda *arguments: largest.append(arguments[-1].abs().max().item()))
    model.save_pretrained(source)
    bundle = Bundle.open(export(source, tmp_path / "bundle", dtype="fp16"))
    generator, inputs = bundle.generator(), [[9, 8, 7, 6], [5, 11, 12, 13]]
    rows = [[0, 20, 21], [0, 30, 31]]
    logits = generator.new_cache(2, 8, generator.encode(inputs)).prefill(np.array(rows))
    wanted = np.stack([torch_logits(model, row, encoded)[-1] for row, encoded in zip(rows, inputs, strict=True)])
    assert min(largest) > 65504
    np.testing.assert_allclose(logits, wanted, rtol=2e-2, atol=2e-2)


@pytest.mark.slow
def test_an_encoder_and_a_decoder_put_together(tmp_path: Path) -> None:
    """The export's own verification is the test."""
    sizes = {**models.ARCHITECTURES["bert"], "num_hidden_layers": 1}
    config = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(
        transformers.BertConfig(**sizes), transformers.BertConfig(**sizes, is_decoder=True, add_cross_attention=True)
    )
    config.decoder_start_token_id, config.pad_token_id = 2, 0
    model = transformers.EncoderDecoderModel(config)
    models.fill(model)
    model.save_pretrained(tmp_path / "checkpoint")
    models.tokenizer_for("bert").save_pretrained(tmp_path / "checkpoint")
    bundle = Bundle.open(export(tmp_path / "checkpoint", tmp_path / "bundle", task="text2text-generation"))
    assert bundle.generator().generate([[7, 8, 9]], max_new_tokens=3).sequences.shape == (1, 4)


@pytest.mark.parametrize("name", ["bart", "t5"])
def test_an_answers_beginning_is_not_ragged(tiny: TinyModels, name: str) -> None:
    """The decoder counts positions for all rows at once."""
    sequences = Sequences(tiny, name, (5, 7))
    with pytest.raises(InputError, match="as many"):
        sequences.state.prefill(np.array([[3, 7], [3, 0]]), np.array([2, 1]))


def graphs(bundle: Path) -> dict[str, onnx.GraphProto]:
    return {path.stem: onnx.load(path).graph for path in (bundle / "onnx").glob("*model.onnx")}


def operators(graph: onnx.GraphProto) -> Counter[str]:
    return Counter(node.op_type for node in graph.node)


def layer_counts(tiny: TinyModels, name: str) -> tuple[int, int]:
    """Layers of the decoder and of the encoder."""
    config = tiny.model(name).config
    if not config.is_encoder_decoder:
        return config.num_hidden_layers, 0
    if "t5" in name:
        return config.num_decoder_layers, config.num_layers
    return config.decoder_layers, config.encoder_layers


@pytest.mark.parametrize("name", EVERY)
def test_operators(tiny: TinyModels, name: str) -> None:
    """Attention is one operator a layer, and so is a norm; nothing of what they replace is left."""
    layers, encoder_layers = layer_counts(tiny, name)
    found = {role: operators(graph) for role, graph in graphs(tiny.bundle(name)).items()}
    decodes, encodes = found.get("model") or found["decoder_model"], found.get("encoder_model", Counter())
    assert decodes["GroupQueryAttention"] == layers
    assert decodes["MultiHeadAttention"] == (layers if encodes else 0)
    assert encodes["MultiHeadAttention"] == encoder_layers
    decoding, encoding = RMS_NORMS.get(name, (0, 0))
    assert decodes["SimplifiedLayerNormalization"] == (decoding * layers + 1 if decoding else 0)
    assert encodes["SimplifiedLayerNormalization"] == (encoding * encoder_layers + 1 if encoding else 0)
    for counts in (decodes, encodes):
        assert not {"Softmax", "ReduceMean", "Einsum", "If", "Loop", "Trilu"} & set(counts)
    assert read_manifest(tiny.bundle(name))["provenance"]["attention"] == "GroupQueryAttention"


@pytest.mark.parametrize("name", EVERY)
def test_tied_weights_are_stored_once(tiny: TinyModels, name: str) -> None:
    found = graphs(tiny.bundle(name))
    graph = found.get("model") or found["decoder_model"]
    shapes = [sorted(weight.dims) for weight in graph.initializer]
    width = tiny.model(name).get_input_embeddings().weight.shape[1]
    assert shapes.count(sorted((models.VOCABULARY, width))) == (2 if name in UNTIED else 1)
    assert operators(graph)["FusedMatMul"] == (0 if name in UNTIED else 1)


@pytest.mark.parametrize("name", ENCODER_DECODER)
def test_encoder_and_decoder_share_no_work(tiny: TinyModels, name: str) -> None:
    """The cross-attention's keys and values are made by the encoder's graph alone."""
    found = graphs(tiny.bundle(name))
    layers, _ = layer_counts(tiny, name)
    cross = [f"{layer}.encoder.{kind}" for layer in range(layers) for kind in ("key", "value")]
    assert [value.name for value in found["encoder_model"].output] == [f"present.{part}" for part in cross]
    assert not [value.name for value in found["decoder_model"].output if ".encoder." in value.name]
    used = {name for node in found["decoder_model"].node for name in node.input}
    assert {f"past_key_values.{part}" for part in cross} <= used


def signature(specs: list[dict[str, Any]]) -> list[tuple[str, str, list[Any]]]:
    return [(spec["name"], spec["dtype"], spec["shape"]) for spec in specs]


def test_signature_of_a_decoder(tiny: TinyModels) -> None:
    manifest = read_manifest(tiny.bundle("llama"))
    assert (manifest["task"], manifest["model_type"], manifest["max_length"]) == ("text-generation", "llama", 64)
    graph = manifest["graphs"]["model"]["fp32"]
    cache = [f"{layer}.{kind}" for layer in (0, 1) for kind in ("key", "value")]
    assert signature(graph["inputs"]) == [
        ("input_ids", "int64", ["batch", "length"]),
        ("attention_mask", "int64", ["batch", "total"]),
        ("position_ids", "int64", ["batch", "length"]),
        *((f"past_key_values.{part}", "float32", ["batch", 2, "capacity", 8]) for part in cache),
    ]
    assert signature(graph["outputs"]) == [
        ("logits", "float32", ["batch", "kept", models.VOCABULARY]),
        *((f"present.{part}", "float32", ["batch", 2, "capacity", 8]) for part in cache),
    ]


def test_signature_of_an_encoder_decoder(tiny: TinyModels) -> None:
    manifest = read_manifest(tiny.bundle("t5"))
    assert (manifest["task"], manifest["model_type"]) == ("text2text-generation", "t5")
    assert list(manifest["graphs"]) == ["encoder_model", "decoder_model"]
    encoder, decoder = (manifest["graphs"][role]["fp32"] for role in ("encoder_model", "decoder_model"))
    pairs = [(layer, kind) for layer in (0, 1) for kind in ("key", "value")]
    cross = [(f"{layer}.encoder.{kind}", "float32", ["batch", 4, "encoder_length", 16]) for layer, kind in pairs]
    grown = [(f"{layer}.decoder.{kind}", "float32", ["rows", 4, "capacity", 16]) for layer, kind in pairs]
    assert signature(encoder["inputs"]) == [
        ("input_ids", "int64", ["batch", "encoder_length"]),
        ("attention_mask", "int64", ["batch", "encoder_length"]),
    ]
    assert signature(encoder["outputs"]) == [(f"present.{name}", *rest) for name, *rest in cross]
    assert signature(decoder["inputs"]) == [
        ("input_ids", "int64", ["rows", "length"]),
        ("encoder_attention_mask", "int64", ["batch", "encoder_length"]),
        ("decoder_attention_mask", "int64", ["rows", "total"]),
        *((f"past_key_values.{name}", *rest) for name, *rest in (*grown, *cross)),
    ]
    assert signature(decoder["outputs"]) == [
        ("logits", "float32", ["rows", "kept", models.VOCABULARY]),
        *((f"present.{name}", *rest) for name, *rest in grown),
    ]


@pytest.mark.parametrize("name", EVERY)
def test_references_replay(tiny: TinyModels, name: str) -> None:
    bundle = Bundle.open(tiny.bundle(name))
    found = bundle.verify()
    role = "decoder_model" if name in ENCODER_DECODER else "model"
    dtypes = ("fp16", "fp32") if name in HALF else ("fp32",)
    assert sorted(line for line, _, _ in found) == [f"{role} {dtype}" for dtype in dtypes]
    assert all(0 < difference < tolerance for _, difference, tolerance in found)


@pytest.mark.parametrize("kept", [1, 3])
@pytest.mark.parametrize("name", DECODER_ONLY)
def test_the_graph_by_itself(tiny: TinyModels, name: str, kept: int) -> None:
    """Without shared buffers, as another program may run it: a cache comes in, and the same cache comes out longer."""
    session = ort.InferenceSession(tiny.bundle(name) / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])
    declared = {value.name: value.shape for value in session.get_inputs()}
    names = [value.name for value in session.get_outputs()]
    rows = [list(range(20, 27)), list(range(40, 44))]
    ids, mask = padded(rows)
    feeds: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "num_logits_to_keep": np.array(kept)}
    feeds["position_ids"] = np.arange(7)[None].repeat(2, axis=0)
    for cached, shape in declared.items():
        if cached.startswith("past_key_values"):
            feeds[cached] = np.zeros((2, shape[1], 9, shape[3]), dtype=np.float32)

    def run() -> dict[str, np.ndarray]:
        given = {name: value for name, value in feeds.items() if name in declared or name == "num_logits_to_keep"}
        return dict(zip(names, session.run(names, given), strict=True))

    outputs = run()
    wanted = np.stack([torch_logits(tiny.model(name), row)[-kept:] for row in rows])
    np.testing.assert_allclose(outputs["logits"], wanted, rtol=1e-4, atol=1e-4)
    feeds |= {key.replace("present", "past_key_values"): value for key, value in outputs.items() if key != "logits"}
    feeds["input_ids"], feeds["position_ids"] = np.array([[50], [51]]), np.array([[7], [4]])
    feeds["attention_mask"] = (np.arange(8) < [[8], [5]]).astype(np.int64)
    del feeds["num_logits_to_keep"]
    wanted = np.stack([torch_logits(tiny.model(name), [*row, 50 + index])[-1:] for index, row in enumerate(rows)])
    np.testing.assert_allclose(run()["logits"], wanted, rtol=1e-4, atol=1e-4)


def test_task_of_an_encoder_decoder(tiny: TinyModels, tmp_path: Path) -> None:
    bundle = export(tiny.checkpoint("mbart"), tmp_path / "bundle", task="translation_en_to_de")
    assert read_manifest(bundle)["task"] == "text2text-generation"
