"""Generation on the GPU: the tokens of the CPU, and a cache that holds what was read."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from tests.fidelity.test_device import OPTIONS, PROMPTS, inputs
from torchless import Bundle, pipeline
from torchless.generation import decoder
from torchless.generation import generator as generators
from torchless.generation.device_logits import DeviceLogits
from torchless.generation.host import HostMemory

from .conftest import DEVICE, Bundles

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore:.*no kernel on CUDA"),
    pytest.mark.filterwarnings("ignore::torchless.TruncationWarning"),
]


def generated(bundle: Bundle, name: str, **options: Any) -> list[list[int]]:
    plain = {"max_new_tokens": 16, "num_beams": 1, "do_sample": False, **options}
    tokens: list[list[int]] = bundle.generator().generate(**inputs(bundle, PROMPTS[name]), **plain).sequences.tolist()
    return tokens


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", PROMPTS)
def test_tokens_in_float32(
    name: str, options: str, device: str, bundles: Bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = generated(Bundle.open(bundles(name), dtype="fp32", device=device), name, **OPTIONS[options])
    for module in (decoder, generators):
        monkeypatch.setattr(module, "memory_class", lambda session: HostMemory)
    assert found == generated(Bundle.open(bundles(name), dtype="fp32"), name, **OPTIONS[options])


@pytest.mark.parametrize("name", PROMPTS)
def test_cache_in_float16(name: str, device: str, bundles: Bundles) -> None:
    """Step by step as all at once: rows of unequal length, expanded and rearranged."""
    bundle = Bundle.open(bundles(name), dtype="fp16", device=device)
    generator = bundle.generator()
    batch = inputs(bundle, PROMPTS[name])
    encoded = generator.encode(**batch) if generator.is_encoder_decoder else None
    tokens, lengths = batch["input_ids"], batch["attention_mask"].sum(axis=1)
    if encoded is not None:
        tokens, lengths = generator.start_tokens(encoded.rows), np.ones(encoded.rows, dtype=np.int64)
    rows = [row[:length].tolist() for row, length in zip(tokens, lengths, strict=True) for _ in range(2)]
    state = generator.new_cache(len(tokens), 40, encoded)
    state.prefill(tokens, lengths)
    state.expand(2)
    logits = state.step(np.arange(20, 20 + len(rows)))
    rows = [[*row, 20 + place] for place, row in enumerate(rows)]
    for turn in range(4):
        parents = np.arange(len(rows)) // 2 * 2 + (turn % 2)
        state.reorder(parents)
        added = np.arange(len(rows)) + 30 + turn
        logits = state.step(added)
        rows = [[*rows[parent], token] for parent, token in zip(parents.tolist(), added.tolist(), strict=True)]
    for place, row in enumerate(rows):
        alone = None if encoded is None else encoded.select([place // 2])
        whole = generator.new_cache(1, len(row), alone).prefill(np.array([row]))
        np.testing.assert_allclose(logits[place], whole[0], atol=0.05 * float(np.abs(whole).max()))


@pytest.mark.parametrize("name", PROMPTS)
@pytest.mark.parametrize("options", ["greedy", "beams"])
def test_only_what_is_chosen_is_copied(
    name: str, options: str, device: str, bundles: Bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.open(bundles(name), dtype="fp16", device=device)
    plain = {"no_repeat_ngram_size": 0, "min_length": 0, "forced_eos_token_id": None, "forced_bos_token_id": None}
    monkeypatch.setattr(DeviceLogits, "read", lambda scores: pytest.fail("all logits were copied"))
    assert generated(bundle, name, **plain, **OPTIONS[options])


@pytest.mark.skipif(DEVICE == "cpu", reason="about the GPU itself")
@pytest.mark.parametrize("name", PROMPTS)
def test_where_the_cache_lies(name: str, device: str, bundles: Bundles) -> None:
    role = "model" if name == "story" else "decoder_model"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session = Bundle.open(bundles(name), dtype="fp16", device=device).session(role)
    caches = [spec.name for spec in session.inputs if spec.name.startswith("past_key_values.")]
    assert {session.place(cache).kind for cache in (*caches, "logits")} == {"cuda"}
    with pytest.warns(UserWarning, match="no kernel on CUDA"):
        session = Bundle.open(bundles(name), dtype="fp32", device=device).session(role)
    assert {session.place(cache).kind for cache in caches if "encoder" not in cache} == {"cpu"}


@pytest.mark.skipif(DEVICE == "cpu", reason="about the GPU itself")
def test_the_gpu_is_given_float16(device: str, bundles: Bundles) -> None:
    assert pipeline("text-generation", bundles("story"), device=device).bundle.dtype("model") == "fp16"
