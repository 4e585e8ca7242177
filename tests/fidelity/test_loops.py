"""Greedy decoding, sampling, beam search and prompt lookup against transformers' own ``generate``, token for token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.export

from . import generating  # noqa: E402
from .generating import DECODER_ONLY, ENCODER_DECODER, EOS, PAD, generated, prompts, reference  # noqa: E402

MODELS = (*DECODER_ONLY, *ENCODER_DECODER)

# Everything that changes logits, alone and together. Padding is suppressed where transformers counts it as a token.
CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "several ends": {"eos_token_id": [EOS, 7, 50, 51, 52, 53]},
    "min_length": {"min_length": 24, "eos_token_id": [EOS, *range(40, 80)]},
    "min_new_tokens": {"min_new_tokens": 9, "eos_token_id": [EOS, *range(40, 80)]},
    "repetition_penalty": {"repetition_penalty": 1.7},
    "repetition reward": {"repetition_penalty": 0.8},
    "encoder_repetition_penalty": {"encoder_repetition_penalty": 3.0, "suppress_tokens": [PAD]},
    "no_repeat_ngram_size 1": {"no_repeat_ngram_size": 1, "suppress_tokens": [PAD]},
    "no_repeat_ngram_size 3": {"no_repeat_ngram_size": 3, "suppress_tokens": [PAD]},
    "encoder_no_repeat_ngram_size": {"encoder_no_repeat_ngram_size": 1, "suppress_tokens": [PAD]},
    "bad_words_ids": {"bad_words_ids": [[token] for token in range(5, 60)] + [[70, 71], [EOS]]},
    "sequence_bias": {"sequence_bias": [[[token], 1.5 * (token % 5)] for token in range(5, 90)]},
    "forced_bos_token_id": {"forced_bos_token_id": 17},
    "forced_eos_token_id": {"forced_eos_token_id": EOS},
    "exponential_decay_length_penalty": {"exponential_decay_length_penalty": (5, 1.3)},
    "suppress_tokens": {"suppress_tokens": list(range(5, 70))},
    "begin_suppress_tokens": {"begin_suppress_tokens": list(range(5, 110))},
    "renormalize_logits": {"renormalize_logits": True, "repetition_penalty": 1.3},
    "remove_invalid_values": {"remove_invalid_values": True, "bad_words_ids": [[9]]},
    "many": {
        "repetition_penalty": 1.2,
        "no_repeat_ngram_size": 2,
        "min_new_tokens": 12,
        "suppress_tokens": [PAD, 9, 10],
        "begin_suppress_tokens": [20, 21, 22],
        "forced_eos_token_id": EOS,
        "eos_token_id": [EOS, 60, 61, 62],
        "renormalize_logits": True,
    },
}
BEAMS: dict[str, dict[str, Any]] = {
    "2": {"num_beams": 2},
    "4 returned": {"num_beams": 4, "num_return_sequences": 4},
    "early": {"num_beams": 3, "early_stopping": True, "num_return_sequences": 3},
    "never": {"num_beams": 3, "early_stopping": "never", "num_return_sequences": 2},
    "never, short": {"num_beams": 3, "early_stopping": "never", "length_penalty": -1.0},
    "long": {"num_beams": 4, "length_penalty": 2.0, "num_return_sequences": 2},
    "neutral": {"num_beams": 4, "length_penalty": 0.0, "num_return_sequences": 2},
    "short": {"num_beams": 4, "length_penalty": -0.5, "early_stopping": True},
    "7": {"num_beams": 7, "num_return_sequences": 5},
}
ENDS = {"eos_token_id": [EOS, 7, *range(30, 50)]}  # so many that hypotheses do end


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def assert_same(ours: Any, theirs: Any, running: list[Any]) -> None:
    """The same tokens and scores; those of rows that had ended before (steps, rows) do not matter."""
    assert ours.sequences.tolist() == theirs.sequences.tolist()
    for name in ("scores", "logits"):
        for mine, other, rows in zip(getattr(ours, name), getattr(theirs, name), running, strict=True):
            np.testing.assert_allclose(mine[rows], other.numpy()[rows], rtol=1e-4, atol=1e-4)
    if ours.sequences_scores is not None:
        np.testing.assert_allclose(ours.sequences_scores, theirs.sequences_scores.numpy(), rtol=1e-4, atol=1e-4)
        assert ours.beam_indices.tolist() == theirs.beam_indices.tolist()


def compare(name: str, folder: Path, *, rows: int, seed: int = 0, random: Any = None, **options: Any) -> Any:
    model = generating.model(name, seed)
    ids, mask = prompts(rows, seed)
    options = {"max_new_tokens": 32, **options}
    theirs = reference(model, ids, mask, **options)
    after: list[Any] = [slice(None)]
    arguments = {"output_scores": True, "output_logits": True, **options}
    ours = generated(model, ids, mask, folder, seed=random, each=lambda step: after.append(step.running), **arguments)
    assert_same(ours, theirs, [slice(None)] * len(theirs.scores) if ours.beam_indices is not None else after[:-1])
    return ours


@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("names", [DECODER_ONLY, ENCODER_DECODER], ids=["decoder-only", "encoder-decoder"])
def test_greedy(names: tuple[str, str], changes: str, tmp_path: Path) -> None:
    compare(names[len(changes) % 2], tmp_path, rows=3, **CHANGES[changes])


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", MODELS)
def test_greedy_of_one_row(name: str, seed: int, tmp_path: Path) -> None:
    assert compare(name, tmp_path, rows=1, seed=seed, eos_token_id=None).new_tokens.shape == (1, 32)


@pytest.mark.parametrize("beams", BEAMS)
@pytest.mark.parametrize("name", MODELS)
def test_beams(name: str, beams: str, tmp_path: Path) -> None:
    compare(name, tmp_path, rows=3, **BEAMS[beams], **ENDS)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("beams", BEAMS)
def test_beams_of_one_row(beams: str, seed: int, tmp_path: Path) -> None:
    compare("gpt2", tmp_path, rows=1, seed=seed, **BEAMS[beams])


@pytest.mark.parametrize("changes", [name for name in CHANGES if name != "nothing"])
def test_beams_with_processors(changes: str, tmp_path: Path) -> None:
    name = MODELS[len(changes) % 4]
    compare(name, tmp_path, rows=2, seed=1, num_beams=3, num_return_sequences=2, **{**ENDS, **CHANGES[changes]})


FILTERS: dict[str, dict[str, Any]] = {
    "default": {},
    "temperature": {"temperature": 0.6, "top_k": 0},
    "top_k": {"top_k": 6, "temperature": 1.5},
    "top_p": {"top_k": 0, "top_p": 0.7},
    "min_p": {"top_k": 0, "min_p": 0.1},
    "typical_p": {"top_k": 0, "typical_p": 0.6},
    "epsilon_cutoff": {"top_k": 0, "epsilon_cutoff": 0.02},
    "eta_cutoff": {"top_k": 0, "eta_cutoff": 0.05},
    "top_h": {"top_k": 0, "top_h": 0.6},
    "all": {
        "temperature": 1.4,
        "top_h": 0.9,
        "top_k": 40,
        "top_p": 0.9,
        "min_p": 0.01,
        "typical_p": 0.9,
        "epsilon_cutoff": 1e-3,
        "eta_cutoff": 2e-3,
        "repetition_penalty": 1.3,
        "renormalize_logits": True,
    },
}


@pytest.fixture
def same_numbers(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let torch draw by the numbers of a NumPy generator with this seed, in the plain way."""
    seed = 7
    random = np.random.default_rng(seed)

    def draw(probabilities: np.ndarray, numbers: np.ndarray) -> list[int]:
        drawn: list[int] = []
        for number in numbers:
            cumulative = np.cumsum(probabilities)
            drawn.append(int(np.searchsorted(cumulative, number * cumulative[-1], side="right")))
            probabilities[drawn[-1]] = 0
        return drawn

    def multinomial(input: Any, num_samples: int) -> Any:
        rows = input.double().numpy()
        if num_samples == 1:
            numbers = random.random(len(rows))[:, None]
            return torch.tensor([draw(row, number) for row, number in zip(rows, numbers, strict=True)])
        return torch.tensor([draw(row, random.random(num_samples)) for row in rows])

    monkeypatch.setattr(torch, "multinomial", multinomial)
    return seed


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("name", ["llama", "t5"])
def test_sampling(name: str, filters: str, tmp_path: Path, same_numbers: int) -> None:
    output = compare(name, tmp_path, rows=3, random=same_numbers, do_sample=True, **FILTERS[filters])
    assert len({tuple(row) for row in output.new_tokens.tolist()}) == 3


def test_sampling_several_answers(tmp_path: Path, same_numbers: int) -> None:
    output = compare("gpt2", tmp_path, rows=2, random=same_numbers, do_sample=True, num_return_sequences=3)
    assert len({tuple(row) for row in output.new_tokens.tolist()}) == 6


@pytest.mark.parametrize("filters", FILTERS)
def test_beam_sampling(filters: str, tmp_path: Path, same_numbers: int) -> None:
    name = MODELS[len(filters) % 4]
    # Flat enough for 9 candidates: transformers fills up with impossible ones, which it takes as memory has them.
    milder = {"top_k": {"top_k": 12}, "epsilon_cutoff": {"epsilon_cutoff": 0.005}}.get(filters, {})
    options = {"eos_token_id": [EOS, 7], **FILTERS[filters], **milder, "temperature": 3.0}
    compare(name, tmp_path, rows=2, random=same_numbers, do_sample=True, num_beams=3, **options)


def _allowed(index: int, tokens: Any) -> list[int]:
    """What may come depends on the input, the last token and the length."""
    return [token for token in range(5, generating.VOCABULARY) if (token + index + len(tokens)) % 3 == 0] + [EOS]


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("name", ["llama", "bart"])
def test_allowed_tokens(name: str, beams: int, tmp_path: Path) -> None:
    model = generating.model(name)
    ids, mask = prompts(2)
    options = {"max_new_tokens": 32, "num_beams": beams}
    # transformers hands over the padding too, which the length then counts.
    padding = (mask == 0).sum(1).tolist() if name == "llama" else [0, 0]
    theirs = reference(
        model, ids, mask, prefix_allowed_tokens_fn=lambda row, tokens: _allowed(row, tokens[padding[row] :]), **options
    )
    ours = generated(model, ids, mask, tmp_path, prefix_allowed_tokens_fn=_allowed, **options)
    assert ours.sequences.tolist() == theirs.sequences.tolist()


@pytest.mark.parametrize("beams", [1, 3])
def test_own_processor_and_stopping(beams: int, tmp_path: Path) -> None:
    model = generating.model("llama")
    ids, mask = prompts(3)
    options = {"max_new_tokens": 32, "num_beams": beams, "repetition_penalty": 1.1}

    class Odd(transformers.LogitsProcessor):
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            return scores - 0.1 * (torch.arange(scores.shape[1]) % 7) * (input_ids[:, -1:] % 2)

    class Stop(transformers.StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **rest: Any) -> Any:
            return (input_ids[:, -1] + input_ids.shape[1]) % 11 == 0

    theirs = reference(model, ids, mask, logits_processor=[Odd()], stopping_criteria=[Stop()], **options)
    ours = generated(
        model,
        ids,
        mask,
        tmp_path,
        logits_processors=[
            lambda tokens, scores: scores - np.float32(0.1) * (np.arange(scores.shape[1]) % 7) * (tokens[:, -1:] % 2)
        ],
        stopping=lambda tokens: (tokens[:, -1] + tokens.shape[1]) % 11 == 0,
        **options,
    )
    assert ours.sequences.tolist() == theirs.sequences.tolist()
    assert ours.sequences.shape[1] < 9 + 32


@pytest.mark.parametrize("name", ENCODER_DECODER)
@pytest.mark.parametrize("beams", [1, 4])
def test_forced_beginning(name: str, beams: int, tmp_path: Path) -> None:
    model = generating.model(name)
    ids, mask = prompts(2)
    start = np.array([[11, 12], [13, 14]])
    options = {"max_new_tokens": 20, "num_beams": beams, "no_repeat_ngram_size": 2, "begin_suppress_tokens": [40, 41]}
    theirs = reference(model, ids, mask, decoder_input_ids=torch.tensor(start), **options)
    ours = generated(model, ids, mask, tmp_path, start=start, **options)
    assert ours.sequences.tolist() == theirs.sequences.tolist()
    assert ours.prompt_length == 3


@pytest.mark.parametrize(
    "options",
    [{}, {"repetition_penalty": 1.2, "min_new_tokens": 20, "eos_token_id": [EOS, *range(30, 60)]}, ENDS],
    ids=["plain", "processors", "ends"],
)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_prompt_lookup(name: str, seed: int, options: dict[str, Any], tmp_path: Path) -> None:
    greedy = compare(name, tmp_path, rows=1, seed=seed, max_new_tokens=40, **options)
    model = generating.model(name, seed)
    ids, mask = prompts(1, seed)
    found = generated(
        model, ids, mask, tmp_path, max_new_tokens=40, prompt_lookup_num_tokens=5, output_scores=True, **options
    )
    assert found.sequences.tolist() == greedy.sequences.tolist()
    for mine, other in zip(found.scores, greedy.scores, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-4)
    count = greedy.new_tokens.shape[1]
    assert 1 + found.speculation.calls + found.speculation.accepted - count in (0, 1)
    assert 0 <= found.speculation.accepted <= found.speculation.guessed


@pytest.mark.parametrize(
    ("length", "checkpoint", "options"),
    [
        (9, {}, {}),
        (90, {}, {}),  # the default stops at the model's limit
        (9, {"max_length": 15}, {}),
        (9, {"max_length": 15}, {"max_new_tokens": 9}),
        (9, {"max_new_tokens": 4}, {"max_length": 50}),
        (9, {"max_length": 15, "min_length": 14}, {}),
        (9, {"max_length": 30, "min_length": 28}, {"max_new_tokens": 5}),
    ],
)
@pytest.mark.filterwarnings("ignore:Using the model-agnostic default", "ignore:Unfeasible length constraints")
def test_lengths(length: int, checkpoint: dict[str, int], options: dict[str, int], tmp_path: Path) -> None:
    model = generating.model("gpt2")
    ids, mask = prompts(2, longest=length)
    before = model.generation_config
    model.generation_config = transformers.GenerationConfig(
        **{"pad_token_id": PAD, "eos_token_id": [EOS, *range(20, 90)], **checkpoint}
    )
    try:
        theirs = reference(model, ids, mask, **options)
        ours = generated(model, ids, mask, tmp_path, **options)
    finally:
        model.generation_config = before
    assert ours.sequences.tolist() == theirs.sequences.tolist()
