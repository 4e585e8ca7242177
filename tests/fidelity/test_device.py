"""Generation in a device's memory, which is here the processor's: the tokens and scores of the ordinary way."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchless import Bundle, pipeline
from torchless.generation import decoder, generator
from torchless.generation.device import DeviceMemory
from torchless.generation.device_logits import DeviceLogits
from torchless.generation.output import GenerationOutput
from torchless.quantize import quantize

from . import cases
from .checkpoints import Exported

pytestmark = [
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore::torchless.TruncationWarning"),
    pytest.mark.filterwarnings("ignore:the task names no languages"),
]

PROMPTS: dict[str, list[str]] = {
    "story": ["One day a dog", "The cat", "Lily went to the park with her mother and saw a"],
    "summary": list(cases.NEWS.values())[:2],
    "translate": ["The house is old.", "My sister has a small dog and two cats."],
}
OPTIONS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "processors": {"no_repeat_ngram_size": 2, "repetition_penalty": 1.2, "min_new_tokens": 5},
    "sampling": {"do_sample": True, "temperature": 0.7, "top_k": 20, "seed": 1},
    "sampling from all": {"do_sample": True, "top_k": 0, "seed": 2},
    "filters": {"do_sample": True, "top_k": 30, "top_p": 0.9, "min_p": 0.01, "seed": 3},
    "several": {"do_sample": True, "num_return_sequences": 3, "temperature": 1.3, "seed": 4},
    "beams": {"num_beams": 4, "num_return_sequences": 2},
    "beams and processors": {"num_beams": 4, "no_repeat_ngram_size": 3, "length_penalty": 2.0, "early_stopping": True},
    "beam sampling": {"num_beams": 3, "do_sample": True, "top_k": 10, "seed": 5},
}


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let states lie in a device's memory from now on."""
    for module in (decoder, generator):
        monkeypatch.setattr(module, "memory_class", lambda session: DeviceMemory)
    return monkeypatch


def inputs(bundle: Bundle, texts: list[str]) -> dict[str, Any]:
    batch = bundle.tokenizer(texts)
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}


def both(folder: Path, texts: list[str], on_device: pytest.MonkeyPatch, **options: Any) -> list[GenerationOutput]:
    """What is generated in a device's memory, and in the ordinary way."""
    bundle = Bundle.open(folder)
    writer = bundle.generator()
    plain = {"max_new_tokens": 16, "num_beams": 1, "do_sample": False, **options}
    found = writer.generate(**inputs(bundle, texts), **plain)
    on_device.undo()
    return [found, writer.generate(**inputs(bundle, texts), **plain)]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", PROMPTS)
def test_tokens(name: str, options: str, exported: Exported, on_device: pytest.MonkeyPatch) -> None:
    """Rows of unequal length together."""
    found, wanted = both(exported(name), PROMPTS[name], on_device, **OPTIONS[options])
    assert found.sequences.tolist() == wanted.sequences.tolist()
    if wanted.sequences_scores is not None:
        assert found.sequences_scores is not None
        np.testing.assert_allclose(found.sequences_scores, wanted.sequences_scores, rtol=1e-5)
        assert found.beam_indices is not None
        assert found.beam_indices.tolist() == wanted.beam_indices.tolist()


@pytest.mark.parametrize("options", ["greedy", "sampling", "beams"])
def test_scores(options: str, exported: Exported, on_device: pytest.MonkeyPatch) -> None:
    wants = {"output_scores": True, "output_logits": True}
    found, wanted = both(exported("story"), PROMPTS["story"], on_device, **OPTIONS[options], **wants)
    for kind in ("scores", "logits"):
        np.testing.assert_allclose(getattr(found, kind), getattr(wanted, kind), rtol=1e-5, atol=1e-5)


def test_guesses(exported: Exported, on_device: pytest.MonkeyPatch) -> None:
    text = "The dog ran. The dog ran. The dog"
    found, wanted = both(exported("story"), [text], on_device, prompt_lookup_num_tokens=3, max_new_tokens=40)
    assert found.sequences.tolist() == wanted.sequences.tolist()
    assert found.speculation == wanted.speculation
    assert found.speculation is not None
    assert found.speculation.guessed > 0


@pytest.mark.parametrize("options", ["greedy", "sampling", "beams"])
def test_steps(options: str, exported: Exported, on_device: pytest.MonkeyPatch) -> None:
    """The scores of a step are those that its tokens were chosen by."""
    bundle = Bundle.open(exported("story"))
    given = {"num_beams": 1, "max_new_tokens": 8, **OPTIONS[options]}
    scores = [step.scores.copy() for step in bundle.generator().stream(**inputs(bundle, PROMPTS["story"]), **given)]
    on_device.undo()
    steps = bundle.generator().stream(**inputs(bundle, PROMPTS["story"]), **given)
    for found, step in zip(scores, steps, strict=True):
        np.testing.assert_allclose(found, step.scores, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", ["greedy", "beams"])
def test_only_what_is_chosen_is_copied(options: str, exported: Exported, on_device: pytest.MonkeyPatch) -> None:
    bundle = Bundle.open(exported("story"))
    on_device.setattr(DeviceLogits, "read", lambda scores: pytest.fail("all logits were copied"))
    given = {"num_beams": 1, "do_sample": False, "max_new_tokens": 8, **OPTIONS[options]}
    found = bundle.generator().generate(**inputs(bundle, PROMPTS["story"]), **given)
    assert found.new_tokens.shape[1] == 8


@pytest.mark.filterwarnings("ignore::torchless.QuantizationWarning")
def test_float16(tmp_path: Path, exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches of 16 bits, with an odd number of places."""
    folder = tmp_path / "bundle"
    shutil.copytree(exported("story"), folder)
    quantize(folder, "fp16", recommend=False)
    bundle = Bundle.open(folder, dtype="fp16")
    batch = inputs(bundle, ["One day a dog", "The cat"])
    odd = {"max_new_tokens": 21 - batch["input_ids"].shape[1], "num_beams": 4, "do_sample": False}
    wanted = bundle.generator().generate(**batch, **odd)
    for module in (decoder, generator):
        monkeypatch.setattr(module, "memory_class", lambda session: DeviceMemory)
    found = bundle.generator().generate(**batch, **odd)
    assert found.sequences.tolist() == wanted.sequences.tolist()


@pytest.mark.usefixtures("on_device")
def test_a_loop_by_hand(exported: Exported) -> None:
    bundle = Bundle.open(exported("story"))
    writer = bundle.generator()
    tokens = bundle.tokenizer("The dog")["input_ids"]
    state = writer.new_cache(rows=1, capacity=tokens.shape[1] + 10)
    logits = state.prefill(tokens)
    chosen = []
    for _ in range(10):
        chosen.append(int(logits.argmax(axis=-1)[0]))
        logits = state.step(logits.argmax(axis=-1))
    assert logits.shape == (1, bundle.config["vocab_size"])
    wanted = writer.generate(tokens, max_new_tokens=10, do_sample=False, num_beams=1)
    assert wanted.new_tokens[0].tolist() == chosen


@pytest.mark.parametrize("task", ["text-generation", "summarization", "translation"])
def test_pipelines(task: str, exported: Exported, on_device: pytest.MonkeyPatch) -> None:
    name = {"text-generation": "story", "summarization": "summary", "translation": "translate"}[task]
    options: dict[str, Any] = {"seed": 1} if task == "text-generation" else {}
    answer = pipeline(task, Bundle.open(exported(name)), max_new_tokens=24)
    found = answer(PROMPTS[name], **options)
    on_device.undo()
    assert answer(PROMPTS[name], **options) == found
