"""Folders of other exporters: a cache that comes back longer from every call, in one graph or in several."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.factories import save_graph
from tests.runtime.generation_factories import SPECIAL
from torchless import Bundle, InputError, OptionError
from torchless.generation import cache, device
from torchless.generation import generator as generators
from torchless.generation.generator import Generator

VOCAB, WIDTH = 12, 3
# The cache holds a row of numbers for each token; logits are a token's own numbers and the sum over all attended ones.
CAUSAL = """(
    int64[batch, length] input_ids, int64[batch, total] attention_mask, int64[batch, length] position_ids,
    float[batch, 1, past, 3] "past_key_values.0.key", float[batch, 1, past, 3] "past_key_values.0.value"
) => (
    float[batch, length, 12] logits,
    float[batch, 1, total, 3] "present.0.key", float[batch, 1, total, 3] "present.0.value"
) {
    axis = Constant<value_ints = [1]>()
    tail = Constant<value_ints = [1, 3]>()
    rows = Gather(table, input_ids)
    order = Cast<to = 1>(position_ids)
    last = Constant<value_ints = [2]>()
    places = Unsqueeze(order, last)
    placed = Add(rows, places)
    new = Unsqueeze(placed, axis)
    "present.0.key" = Concat<axis = 2>("past_key_values.0.key", new)
    "present.0.value" = Concat<axis = 2>("past_key_values.0.value", new)
    mask = Cast<to = 1>(attention_mask)
    wide = Unsqueeze(mask, tail)
    kept = Mul("present.0.key", wide)
    summed = ReduceSum<keepdims = 0>(kept, last)
    hidden = Add(placed, summed)
    logits = MatMul(hidden, out)
}"""


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "table": rng.standard_normal((VOCAB, WIDTH)).astype(np.float32),
        "out": rng.standard_normal((WIDTH, VOCAB)).astype(np.float32),
    }


@pytest.fixture
def generator(tmp_path: Path, weights: dict[str, np.ndarray]) -> Generator:
    save_graph(tmp_path / "model.onnx", CAUSAL, weights)
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": VOCAB, "pad_token_id": 0}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_tokenizer(tmp_path)
    return Bundle.open(tmp_path).generator()


def test_what_does_not_fit_is_refused_on_a_gpu_too(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """This cache is in the processor's memory wherever the graph runs."""
    monkeypatch.setattr(generators, "memory_class", lambda session: device.DeviceMemory)
    monkeypatch.setattr(cache, "available_memory", lambda: 500)
    assert generator.generate([[5, 6]], max_length=10, num_beams=1).sequences.size
    with pytest.raises(OptionError, match="4 sequences of 10 tokens"):
        generator.stream([[5, 6]], max_length=10, num_beams=4)


def save_tokenizer(folder: Path) -> None:
    import tokenizers

    words = {word: index for index, word in enumerate((*SPECIAL, *(f"w{index}" for index in range(VOCAB - 4))))}
    tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>")).save(str(folder / "tokenizer.json"))


def logits_of(tokens: list[int], weights: dict[str, np.ndarray]) -> np.ndarray:
    """After the last of some tokens, worked out without a cache."""
    placed = weights["table"][tokens] + np.arange(len(tokens), dtype=np.float32)[:, None]
    return (placed[-1] + placed.sum(axis=0)) @ weights["out"]


def test_a_ragged_batch(generator: Generator, weights: dict[str, np.ndarray]) -> None:
    texts = [[4, 5, 6], [7], [8, 9]]
    state = generator.new_cache(3, 6)
    found = state.prefill(np.array([[4, 5, 6], [7, 0, 0], [8, 9, 0]]), np.array([3, 1, 2]))
    for token in (10, 11):
        for row, text in enumerate(texts):
            np.testing.assert_allclose(found[row], logits_of(text, weights), rtol=1e-5)
            text.append(token)
        found = state.step(np.full(3, token))
    assert state.lengths.tolist() == [5, 3, 4]
    for row, text in enumerate(texts):
        np.testing.assert_allclose(found[row], logits_of(text, weights), rtol=1e-5)


def test_rows_part_and_continue_each_other(generator: Generator, weights: dict[str, np.ndarray]) -> None:
    state = generator.new_cache(2, 6)
    state.prefill(np.array([[4, 5], [6, 7]]))
    state.expand(2)
    state.step(np.array([8, 9, 10, 11]))
    state.reorder(np.array([1, 1, 2, 3]))
    found = state.step(np.array([4, 5, 6, 7]))
    texts = [[4, 5, 9, 4], [4, 5, 9, 5], [6, 7, 10, 6], [6, 7, 11, 7]]
    for row, text in zip(found, texts, strict=True):
        np.testing.assert_allclose(row, logits_of(text, weights), rtol=1e-5, atol=1e-5)


def test_tokens_are_taken_back(generator: Generator, weights: dict[str, np.ndarray]) -> None:
    state = generator.new_cache(1, 8)
    state.prefill(np.array([[4, 5]]))
    np.testing.assert_allclose(state.extend(np.array([6, 7, 8]))[-1], logits_of([4, 5, 6, 7, 8], weights), rtol=1e-5)
    state.rewind(2)
    np.testing.assert_allclose(state.step(np.array([9]))[0], logits_of([4, 5, 6, 9], weights), rtol=1e-5)


def test_no_room(generator: Generator) -> None:
    state = generator.new_cache(1, 2)
    state.prefill(np.array([[4, 5]]))
    with pytest.raises(InputError, match="made for 2"):
        state.step(np.array([4]))


def test_a_batch_answers_like_its_rows(generator: Generator) -> None:
    options = {"max_new_tokens": 6, "num_beams": 3}
    together = generator.generate([[0, 0, 4], [5, 6, 7]], [[0, 0, 1], [1, 1, 1]], **options).new_tokens
    alone = [generator.generate([ids], **options).new_tokens[0] for ids in ([4], [5, 6, 7])]
    np.testing.assert_array_equal(together, alone)


def test_padding_that_the_graph_is_not_told_of(tmp_path: Path, generator: Generator, weights: dict) -> None:
    without = CAUSAL.replace("int64[batch, length] position_ids,", "").replace("(position_ids)", "(input_ids)")
    save_graph(tmp_path / "model.onnx", without, weights)
    state = Bundle.open(tmp_path).generator().new_cache(2, 4)
    with pytest.raises(InputError, match="one text at a time"):
        state.prefill(np.array([[4, 5], [6, 0]]), np.array([2, 1]))


# The decoder's cross keys hold what the encoder said; a merged graph gives an empty one back after the first call.
ENCODER = """(int64[batch, length] input_ids, int64[batch, length] attention_mask) => (
    float[batch, length, 3] last_hidden_state
) { last_hidden_state = Gather(table, input_ids) }"""
BODY = """
    axis = Constant<value_ints = [1]>()
    last = Constant<value_ints = [2]>()
    rows = Gather(table, input_ids)
    new = Unsqueeze(rows, axis)
    "present.0.decoder.key" = Concat<axis = 2>("past_key_values.0.decoder.key", new)
    "present.0.decoder.value" = Identity("present.0.decoder.key")
    own = ReduceSum<keepdims = 0>("present.0.decoder.key", last)
    mask = Cast<to = 1>(encoder_attention_mask)
    tail = Constant<value_ints = [1, 3]>()
    wide = Unsqueeze(mask, tail)
    kept = Mul(cross, wide)
    other = ReduceSum<keepdims = 0>(kept, last)
    both = Add(own, other)
    hidden = Add(rows, both)
    logits = MatMul(hidden, out)
"""
PAST = (
    'float[rows, 1, past, 3] "past_key_values.0.decoder.key", float[rows, 1, past, 3] "past_key_values.0.decoder.value"'
)
CROSS = 'float[rows, 1, inner, 3] "past_key_values.0.encoder.key"'
PRESENT = (
    "float[rows, length, 12] logits, "
    'float[rows, 1, total, 3] "present.0.decoder.key", float[rows, 1, total, 3] "present.0.decoder.value"'
)
FIRST = f"""(
    int64[rows, length] input_ids, int64[rows, encoded] encoder_attention_mask,
    float[rows, encoded, 3] encoder_hidden_states
) => ({PRESENT}, float[rows, 1, encoded, 3] "present.0.encoder.key") {{
    one = Constant<value_ints = [1]>()
    cross = Unsqueeze(encoder_hidden_states, one)
    "present.0.encoder.key" = Identity(cross)
    shape = Shape(cross)
    zero = Constant<value_ints = [0]>()
    none = Slice(cross, zero, zero, last)
    "past_key_values.0.decoder.key" = Identity(none)
    {BODY.replace("last = Constant", "unused = Constant")}
}}"""
FIRST = FIRST.replace("one = Constant", "last = Constant<value_ints = [2]>()\n    one = Constant", 1)
LATER = f"""(
    int64[rows, length] input_ids, int64[rows, encoded] encoder_attention_mask, {PAST}, {CROSS}
) => ({PRESENT}) {{
    cross = Identity("past_key_values.0.encoder.key")
    {BODY}
}}"""


def test_an_encoder_and_two_decoders(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    for name, text in (("encoder_model", ENCODER), ("decoder_model", FIRST), ("decoder_with_past_model", LATER)):
        save_graph(tmp_path / "onnx" / f"{name}.onnx", text, weights)
    config = {
        "model_type": "bart", "architectures": ["BartForConditionalGeneration"], "is_encoder_decoder": True,
        "vocab_size": VOCAB, "decoder_start_token_id": 2, "eos_token_id": 2, "pad_token_id": 0,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_tokenizer(tmp_path)
    generator = Bundle.open(tmp_path).generator()
    encoded = generator.encode([[4, 5, 6], [7, 0, 0]], [[1, 1, 1], [1, 0, 0]])
    state = generator.new_cache(2, 5, encoded)
    said = np.stack([weights["table"][[4, 5, 6]].sum(axis=0), weights["table"][7]])
    texts = [[2], [2]]
    found = state.prefill(np.array(texts))
    for step in range(3):
        for row, text in enumerate(texts):
            read = weights["table"][text]
            wanted = (read[-1] + read.sum(axis=0) + said[row // (len(texts) // 2)]) @ weights["out"]
            np.testing.assert_allclose(found[row], wanted, rtol=1e-5)
        if step == 0:
            state.expand(2)
            texts = [list(texts[row // 2]) for row in range(4)]
        else:
            state.reorder(np.array([1, 0, 3, 3]))
            texts = [list(texts[row]) for row in (1, 0, 3, 3)]
        tokens = [8, 9, 10, 11]
        found = state.step(np.array(tokens))
        for text, token in zip(texts, tokens, strict=True):
            text.append(token)
