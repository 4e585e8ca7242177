"""Token ids of exported models against transformers' own ``generate``, architecture by architecture."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.export

from tests.export import models  # noqa: E402
from tests.export.tiny import DECODER_ONLY, EOS, FIRST, NAMES, PAD, TinyModels, load  # noqa: E402
from torchless import Bundle  # noqa: E402
from torchless.export import export  # noqa: E402
from torchless.generation.generator import Generator  # noqa: E402

# Enough ends that hypotheses do end, and rows at different times.
ENDS = {"eos_token_id": [EOS, 7, *range(40, 50)]}
NO_END = {"eos_token_id": None}
# Padding counts as a token in transformers where n-grams are looked for.
NO_PADDING = {"suppress_tokens": [PAD]}

GREEDY: dict[str, dict[str, Any]] = {
    "plain": NO_END,
    "varied": {**NO_END, **NO_PADDING, "no_repeat_ngram_size": 2, "repetition_penalty": 1.2},
}
BEAMS: dict[str, dict[str, Any]] = {
    "2": {"num_beams": 2, "num_return_sequences": 2},
    "early": {**ENDS, "num_beams": 4, "early_stopping": True, "num_return_sequences": 3, "length_penalty": 0.6},
    "never": {**ENDS, "num_beams": 3, "early_stopping": "never", "length_penalty": 1.7, "min_new_tokens": 6},
    "n-grams": {**NO_END, **NO_PADDING, "num_beams": 5, "no_repeat_ngram_size": 2, "num_return_sequences": 2},
}
# Each for one decoder and one encoder-decoder.
MORE: dict[str, dict[str, Any]] = {
    "short": {**ENDS, "num_beams": 4, "length_penalty": -1.0, "num_return_sequences": 4},
    "neutral": {**ENDS, "num_beams": 4, "length_penalty": 0.0, "early_stopping": True},
    "repetition": {**NO_END, "num_beams": 3, "repetition_penalty": 1.6},
    "min_length": {**ENDS, "num_beams": 3, "min_length": 25, "length_penalty": 0.2},
    "min_new_tokens": {**ENDS, "min_new_tokens": 14},
    "forced ends": {**ENDS, "num_beams": 3, "forced_bos_token_id": 17, "forced_eos_token_id": EOS},
    "bad words": {
        **ENDS,
        "num_beams": 3,
        "bad_words_ids": [[token] for token in range(60, 100)] + [[20, 21], [22, 23, 24]],
    },
    "greedy bad words": {**NO_END, "bad_words_ids": [[token] for token in range(60, 120)], "forced_eos_token_id": EOS},
    "biased": {**NO_END, "num_beams": 3, "sequence_bias": [[[token], 0.7 * (token % 4)] for token in range(5, 100)]},
    "begun otherwise": {**NO_END, "num_beams": 2, "begin_suppress_tokens": list(range(5, 70))},
    "fading": {**ENDS, "num_beams": 3, "exponential_decay_length_penalty": (4, 1.2)},
    "many": {
        **ENDS,
        "num_beams": 5,
        "num_return_sequences": 5,
        "early_stopping": True,
        "length_penalty": 1.3,
        "repetition_penalty": 1.2,
        "no_repeat_ngram_size": 3,
        "min_new_tokens": 12,
        "suppress_tokens": [PAD, 9, 10],
        "renormalize_logits": True,
    },
}
NEW = 32


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def generator_of(bundle: Path) -> Generator:
    return Bundle.open(bundle, threads=1).generator()


def prompts(name: str, rows: int, seed: int, vocabulary: int = models.VOCABULARY) -> tuple[np.ndarray, np.ndarray]:
    """Ragged rows of random tokens and their mask, padded where transformers wants it: an encoder's on the right."""
    random = np.random.default_rng(seed)
    longest = 9
    lengths = np.array([longest, *random.integers(2, longest, rows - 1)])
    mask = (np.arange(longest) < lengths[:, None]).astype(np.int64)
    if name in DECODER_ONLY:
        mask = mask[:, ::-1].copy()
    return np.where(mask == 1, random.integers(FIRST, vocabulary, mask.shape), PAD), mask


def reference(model: Any, ids: np.ndarray, mask: np.ndarray, **options: Any) -> Any:
    """What transformers gives, with ``scores`` from which ties could be seen."""
    return model.generate(
        torch.tensor(ids),
        attention_mask=torch.tensor(mask),
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )


def compare(tiny: TinyModels, name: str, *, rows: int, seed: int = 0, weights: int = 0, **options: Any) -> np.ndarray:
    """The same tokens, and scores of beams to 1e-4; returns the new tokens."""
    options = {"max_new_tokens": NEW, **options}
    model, generator = tiny.model(name, weights), generator_of(tiny.bundle(name, weights))
    ids, mask = prompts(name, rows, seed)
    theirs = reference(model, ids, mask, **options)
    ours = generator.generate(ids, mask, **options)
    assert ours.sequences.tolist() == theirs.sequences.tolist()
    if options.get("num_beams", 1) > 1:
        np.testing.assert_allclose(ours.sequences_scores, theirs.sequences_scores.numpy(), rtol=1e-4, atol=1e-4)
        assert ours.beam_indices.tolist() == theirs.beam_indices.tolist()
    return ours.new_tokens


def compare_one_by_one(tiny: TinyModels, name: str, *, seed: int, **options: Any) -> np.ndarray:
    """A ragged batch of ours against rows of theirs, where theirs does not look at the mask."""
    options = {"max_new_tokens": NEW, **options}
    model, generator = tiny.model(name), generator_of(tiny.bundle(name))
    ids, mask = prompts(name, 3, seed)
    ours = generator.generate(ids, mask, **options)
    returned = options.get("num_return_sequences", 1)
    for row in range(3):
        kept = ids[row : row + 1, mask[row] == 1]
        theirs = reference(model, kept, np.ones_like(kept), **options)
        wanted = theirs.sequences[:, kept.shape[1] :].tolist()
        width = len(wanted[0])
        found = ours.new_tokens[row * returned : (row + 1) * returned]
        assert found[:, :width].tolist() == wanted
        assert set(found[:, width:].ravel().tolist()) <= {EOS}  # it has no padding token
    return ours.new_tokens


def check(tiny: TinyModels, name: str, rows: int, seed: int, **options: Any) -> np.ndarray:
    if rows > 1 and name == "openai-gpt":
        return compare_one_by_one(tiny, name, seed=seed, **options)
    return compare(tiny, name, rows=rows, seed=seed, **options)


@pytest.mark.parametrize("settings", GREEDY)
@pytest.mark.parametrize("name", NAMES)
def test_greedy(tiny: TinyModels, name: str, settings: str) -> None:
    for rows, seed in ((1, 0), (1, 1), (3, 2), (3, 3)):
        tokens = check(tiny, name, rows, seed, **GREEDY[settings])
        assert tokens.shape == (rows, NEW)
        assert settings == "plain" or len({tuple(row) for row in tokens.tolist()}) == rows


@pytest.mark.parametrize("settings", BEAMS)
@pytest.mark.parametrize("name", NAMES)
def test_beams(tiny: TinyModels, name: str, settings: str) -> None:
    for rows, seed in ((1, 4), (3, 5)):
        check(tiny, name, rows, seed, **BEAMS[settings])


@pytest.mark.parametrize("settings", MORE)
@pytest.mark.parametrize("name", ["llama", "bart"])
def test_more_settings(tiny: TinyModels, name: str, settings: str) -> None:
    for rows, seed in ((1, 6), (3, 7)):
        compare(tiny, name, rows=rows, seed=seed, **MORE[settings])


@pytest.mark.slow
@pytest.mark.parametrize("weights", [1, 2, 3])
@pytest.mark.parametrize("name", ["gpt2", "llama", "bart", "t5"])
def test_other_weights(tiny: TinyModels, name: str, weights: int) -> None:
    for options in (*GREEDY.values(), *BEAMS.values(), *MORE.values()):
        for rows, seed in ((1, 8), (3, 9)):
            compare(tiny, name, rows=rows, seed=seed, weights=weights, **options)


@pytest.mark.parametrize("name", ["gpt2", "llama", "bart"])
@pytest.mark.parametrize("beams", [1, 3])
def test_to_the_last_position(tiny: TinyModels, name: str, beams: int) -> None:
    options: dict[str, Any] = {"max_new_tokens": None, "max_length": 64, "num_beams": beams}
    model, generator = tiny.model(name), generator_of(tiny.bundle(name))
    ids, mask = prompts(name, 2, 10)
    theirs = reference(model, ids, mask, **NO_END, **options)
    assert generator.generate(ids, mask, **NO_END, **options).sequences.tolist() == theirs.sequences.tolist()
    assert theirs.sequences.shape[1] == 64


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("name", ["bart", "t5"])
def test_forced_beginning(tiny: TinyModels, name: str, beams: int) -> None:
    options = {"max_new_tokens": NEW, "num_beams": beams, **ENDS}
    model, generator = tiny.model(name), generator_of(tiny.bundle(name))
    ids, mask = prompts(name, 2, 11)
    start = np.array([[model.config.decoder_start_token_id, 11, 12], [model.config.decoder_start_token_id, 13, 14]])
    theirs = reference(model, ids, mask, decoder_input_ids=torch.tensor(start), **options)
    ours = generator.generate(ids, mask, decoder_input_ids=start, **options)
    assert ours.sequences.tolist() == theirs.sequences.tolist()


@pytest.mark.parametrize("name", ["gpt2", "openai-gpt", "ctrl", "qwen3", "bart", "t5", "marian"])
def test_prompt_lookup_is_greedy(tiny: TinyModels, name: str) -> None:
    model, generator = tiny.model(name), generator_of(tiny.bundle(name))
    accepted = 0
    for seed in range(12, 16):
        ids, mask = prompts(name, 1, seed)
        theirs = reference(model, ids, mask, max_new_tokens=NEW)
        ours = generator.generate(ids, mask, max_new_tokens=NEW, prompt_lookup_num_tokens=5)
        assert ours.sequences.tolist() == theirs.sequences.tolist()
        accepted += ours.speculation.accepted
    assert accepted > 0


SAMPLING: dict[str, dict[str, Any]] = {
    "all": {"top_k": 0},
    "temperature and top-k": {"temperature": 1.7, "top_k": 12},
    "cold and top-p": {"temperature": 0.7, "top_k": 0, "top_p": 0.8},
    "min-p": {"top_k": 0, "min_p": 0.08, "temperature": 1.4},
}


@pytest.mark.parametrize("settings", SAMPLING)
@pytest.mark.parametrize("name", ["llama", "bart"])
def test_sampled_frequencies(tiny: TinyModels, name: str, settings: str) -> None:
    """Over many seeds the first token, and the one after the most frequent first one, come as often as they should."""
    model, generator = tiny.model(name), generator_of(tiny.bundle(name))
    ids, mask = prompts(name, 1, 16)
    options = {"do_sample": True, "max_new_tokens": 3, **NO_END, **SAMPLING[settings]}
    seeds, answers = 30, 200
    drawn = np.concatenate([
        generator.generate(ids, mask, seed=seed, num_return_sequences=answers, **options).new_tokens
        for seed in range(seeds)
    ])  # fmt: skip
    # Every row has its own history, which counts from the first token on.
    first = Counter(drawn[:, 0].tolist())
    assert_as_often(first, probabilities(model, ids, options))
    ((begun, _),) = first.most_common(1)
    second = Counter(drawn[drawn[:, 0] == begun, 1].tolist())
    assert_as_often(second, probabilities(model, ids, options, begun))


def probabilities(model: Any, ids: np.ndarray, options: dict[str, Any], begun: int | None = None) -> np.ndarray:
    """The distribution that transformers draws from, float64 (vocab,)."""
    drawn = {name: value for name, value in options.items() if name != "max_new_tokens"}
    inputs = torch.tensor(ids)
    start: dict[str, Any] = {}
    if begun is not None and model.config.is_encoder_decoder:
        start = {"decoder_input_ids": torch.tensor([[model.config.decoder_start_token_id, begun]])}
    elif begun is not None:
        inputs = torch.cat([inputs, torch.tensor([[begun]])], dim=1)
    given = model.generate(
        inputs,
        attention_mask=torch.ones_like(inputs),
        max_new_tokens=2,  # the last one may be forced
        return_dict_in_generate=True,
        output_scores=True,
        **start,
        **drawn,
    )
    probable: np.ndarray = given.scores[0][0].double().softmax(dim=0).numpy()
    return probable


def assert_as_often(counts: Counter[int], probable: np.ndarray) -> None:
    """Pearson's chi-squared, tokens expected less than 10 times taken together; within 4.5 deviations of its mean."""
    total = sum(counts.values())
    found = np.array([counts[token] for token in range(len(probable))], dtype=np.float64)
    assert total > 200
    assert not found[probable == 0].any()
    expected = probable * total
    rare = expected < 10
    expected = np.append(expected[~rare], expected[rare].sum())
    found = np.append(found[~rare], found[rare].sum())
    kept = expected > 0
    statistic = float(((found - expected)[kept] ** 2 / expected[kept]).sum())
    freedom = int(kept.sum()) - 1
    assert freedom >= 1
    assert statistic < freedom + 4.5 * np.sqrt(2 * freedom), (statistic, freedom)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["gpt2", "bart"])
def test_real_size(tmp_path: Path, model_type: str) -> None:
    """GPT-2 and BART-large: long sums, and weights so large that torch's exporter leaves a tied one to be found."""
    source = models.whole(tmp_path / "checkpoint", model_type)
    bundle = export(source, tmp_path / "bundle")
    model, generator = load(source), Bundle.open(bundle).generator()
    ids, mask = prompts(model_type, 2, 0, vocabulary=model.config.vocab_size)
    for options in ({}, {"num_beams": 4}):
        options |= {"max_new_tokens": 20, **NO_END}
        theirs = reference(model, ids, mask, **options)
        assert generator.generate(ids, mask, **options).sequences.tolist() == theirs.sequences.tolist()
    numbers = sum(parameter.numel() for parameter in model.parameters())
    if model_type == "bart":
        numbers += model.get_input_embeddings().weight.numel()  # the encoder's graph has words of its own
    size = sum(path.stat().st_size for path in (bundle / "onnx").iterdir())
    assert size < 1.01 * 4 * numbers
