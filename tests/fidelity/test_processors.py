"""Every processor and filter against transformers' class of it, on random scores and ragged rows of tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.export

from transformers.generation import logits_process as theirs  # noqa: E402

from torchless import Tokenizer  # noqa: E402
from torchless.generation import GenerationConfig, processors, warpers  # noqa: E402
from torchless.generation.stopping import StopStrings  # noqa: E402

from . import generating  # noqa: E402

INPUTS, COPIES, PROMPT, STEPS, VOCABULARY = 3, 2, 7, 6, 300
EOS = (5, 9)
PADDING = (0, 3, 1)  # on the left of each input
# As torch sees it: a token that is nowhere else, so that its windows cannot match.
PAD = VOCABULARY - 1

ENCODER = np.random.default_rng(5).integers(10, 14, (INPUTS, 12))


def histories(seed: int) -> list[np.ndarray]:
    """Tokens of few kinds, so that n-grams come again: (rows, length) for several lengths, -1 on the left."""
    random = np.random.default_rng(seed)
    tokens = random.integers(10, 13, (INPUTS * COPIES, PROMPT + STEPS))
    for row in range(len(tokens)):
        tokens[row, : PADDING[row // COPIES]] = -1
    return [tokens[:, : PROMPT + step] for step in range(STEPS)]


def scores(seed: int, spread: float = 3.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, spread, (INPUTS * COPIES, VOCABULARY)).astype(np.float32)


# Our options, and the processors of transformers that they mean.
CASES: dict[str, tuple[dict[str, Any], Callable[[], list[Any]]]] = {
    "sequence_bias": (
        {"sequence_bias": {(10,): 2.5, (11, 12): -3.0, (13, 12): 1.0, (12, 13, 12): 4.0, (14, 15): float("-inf")}},
        lambda: [
            theirs.SequenceBiasLogitsProcessor(
                {(10,): 2.5, (11, 12): -3.0, (13, 12): 1.0, (12, 13, 12): 4.0, (14, 15): float("-inf")}
            )
        ],
    ),
    "encoder_repetition_penalty": (
        {"encoder_repetition_penalty": 1.9},
        lambda: [theirs.EncoderRepetitionPenaltyLogitsProcessor(1.9, torch.tensor(ENCODER))],
    ),
    "repetition_penalty": (
        {"repetition_penalty": 1.6},
        lambda: [
            theirs.RepetitionPenaltyLogitsProcessor(
                1.6, prompt_ignore_length=torch.tensor(PADDING).repeat_interleave(COPIES)
            )
        ],
    ),
    **{
        f"no_repeat_ngram_size {size}": (
            {"no_repeat_ngram_size": size},
            lambda size=size: [theirs.NoRepeatNGramLogitsProcessor(size)],
        )
        for size in (1, 2, 3, 4, 9, 20)
    },
    **{
        f"encoder_no_repeat_ngram_size {size}": (
            {"encoder_no_repeat_ngram_size": size},
            lambda size=size: [theirs.EncoderNoRepeatNGramLogitsProcessor(size, torch.tensor(ENCODER))],
        )
        for size in (1, 2, 3, 13)
    },
    "bad_words_ids": (
        {"bad_words_ids": [[10], [11, 12], [13, 14, 15], [5], [5, 10]]},
        lambda: [
            theirs.NoBadWordsLogitsProcessor([[10], [11, 12], [13, 14, 15], [5], [5, 10]], eos_token_id=list(EOS))
        ],
    ),
    "min_length": (
        {"min_length": PROMPT + 3},
        lambda: [theirs.MinLengthLogitsProcessor(PROMPT + 3, list(EOS))],
    ),
    "min_new_tokens": (
        {"min_new_tokens": 4},
        lambda: [theirs.MinNewTokensLengthLogitsProcessor(PROMPT, 4, list(EOS))],
    ),
    "forced_eos_token_id": (
        {"forced_eos_token_id": [5, 12], "max_length": PROMPT + STEPS},
        lambda: [theirs.ForcedEOSTokenLogitsProcessor(PROMPT + STEPS, [5, 12])],
    ),
    "exponential_decay_length_penalty": (
        {"exponential_decay_length_penalty": (2, 1.2)},
        lambda: [theirs.ExponentialDecayLengthPenalty((2, 1.2), list(EOS), PROMPT)],
    ),
    "suppress_tokens": (
        {"suppress_tokens": [11, 290, 9]},
        lambda: [theirs.SuppressTokensLogitsProcessor([11, 290, 9])],
    ),
    "begin_suppress_tokens": (
        {"begin_suppress_tokens": [11, 290, 9]},
        lambda: [theirs.SuppressTokensAtBeginLogitsProcessor([11, 290, 9], PROMPT)],
    ),
    "remove_invalid_values": (
        {"remove_invalid_values": True, "suppress_tokens": [8]},
        lambda: [theirs.InfNanRemoveLogitsProcessor(), theirs.SuppressTokensLogitsProcessor([8])],
    ),
    "renormalize_logits": ({"renormalize_logits": True}, lambda: [theirs.LogitNormalization()]),
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("case", CASES)
def test_processor(case: str, seed: int) -> None:
    options, make = CASES[case]
    config = GenerationConfig(**{"max_length": 99, "eos_token_id": EOS, **options}).resolve(PROMPT, rows=INPUTS)
    chain, other = processors(config, PROMPT, ENCODER), make()
    changed = False
    for step, tokens in enumerate(histories(seed)):
        before = scores(100 * seed + step)
        expected = torch.tensor(before)
        for processor in other:
            expected = processor(torch.tensor(np.where(tokens < 0, PAD, tokens)), expected)
        found = before.copy()
        for change in chain:
            found = change(tokens, found)
        np.testing.assert_allclose(found[:, :PAD], expected.numpy()[:, :PAD], rtol=2e-6, atol=1e-6)
        changed |= bool((found != before).any())
    assert changed == (
        case not in ("no_repeat_ngram_size 20", "encoder_no_repeat_ngram_size 13", "no_repeat_ngram_size 9")
    )


@pytest.mark.parametrize("length", [1, 2])
def test_forced_bos(length: int) -> None:
    config = GenerationConfig(forced_bos_token_id=4, max_length=9, begin_suppress_tokens=[7]).resolve(1)
    tokens, before = np.full((2, length), 3), scores(0)[:2]
    other = [
        theirs.ForcedBOSTokenLogitsProcessor(4),
        theirs.SuppressTokensAtBeginLogitsProcessor([7], 2),
    ]
    expected, found = torch.tensor(before), before.copy()
    for processor in other:
        expected = processor(torch.tensor(tokens), expected)
    for change in processors(config, 1, tokens[:, :1]):
        found = change(tokens, found)
    assert found.tolist() == expected.tolist()


def test_invalid_values() -> None:
    before = scores(0)
    before[0, :4] = [np.nan, np.inf, -np.inf, 0]
    (change,) = processors(GenerationConfig(remove_invalid_values=True, max_length=9), PROMPT, ENCODER)
    expected = theirs.InfNanRemoveLogitsProcessor()(None, torch.tensor(before)).numpy()
    assert change(histories(0)[0], before.copy()).tolist() == expected.tolist()


def test_allowed_tokens_that_are_all_impossible() -> None:
    """Only where no beam of an input has a possible one, they become possible again."""
    before, tokens = scores(0), histories(0)[0]
    before[:2, 20:30] = -np.inf
    before[2, 20:30] = -np.inf
    expected = theirs.PrefixConstrainedLogitsProcessor(lambda row, ids: [20, 21, 22], COPIES)(
        torch.tensor(tokens), torch.tensor(before)
    )
    config = GenerationConfig(num_beams=COPIES, max_length=99).resolve(PROMPT)
    (change,) = processors(config, PROMPT, ENCODER, allowed=lambda row, ids: [20, 21, 22])
    found = change(tokens, before.copy())
    assert found.tolist() == expected.tolist()
    assert found[0, 20] == 0
    assert found[2, 20] == -np.inf


FILTERS: dict[str, tuple[dict[str, Any], Callable[[int], Any]]] = {
    "temperature": ({"temperature": 0.37}, lambda least: theirs.TemperatureLogitsWarper(0.37)),
    **{
        f"top_k {k}": ({"top_k": k}, lambda least, k=k: theirs.TopKLogitsWarper(k, min_tokens_to_keep=least))
        for k in (1, 2, 7, 200, 10_000)
    },
    **{
        f"top_p {p}": ({"top_p": p}, lambda least, p=p: theirs.TopPLogitsWarper(p, min_tokens_to_keep=least))
        for p in (0.0, 0.1, 0.5, 0.9, 0.999)
    },
    **{
        f"min_p {p}": ({"min_p": p}, lambda least, p=p: theirs.MinPLogitsWarper(p, min_tokens_to_keep=least))
        for p in (0.0, 0.02, 0.3, 1.0)
    },
    **{f"top_h {p}": ({"top_h": p}, lambda least, p=p: theirs.TopHLogitsWarper(p)) for p in (0.05, 0.4, 0.8, 0.98)},
    **{
        f"typical_p {p}": ({"typical_p": p}, lambda least, p=p: theirs.TypicalLogitsWarper(p, min_tokens_to_keep=least))
        for p in (0.05, 0.5, 0.95)
    },
    **{
        f"epsilon_cutoff {p}": (
            {"epsilon_cutoff": p},
            lambda least, p=p: theirs.EpsilonLogitsWarper(p, min_tokens_to_keep=least),
        )
        for p in (1e-4, 0.02, 0.9)
    },
    **{
        f"eta_cutoff {p}": ({"eta_cutoff": p}, lambda least, p=p: theirs.EtaLogitsWarper(p, min_tokens_to_keep=least))
        for p in (1e-4, 0.02, 0.9)
    },
}


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("spread", [0.3, 2.0, 9.0])
@pytest.mark.parametrize("case", FILTERS)
def test_filter(case: str, spread: float, beams: int) -> None:
    options, make = FILTERS[case]
    config = GenerationConfig(**{"top_k": 0, "do_sample": True, "eos_token_id": EOS, "num_beams": beams, **options})
    (warp,) = warpers(config)
    other = make(3 if beams > 1 else 1)
    for seed in range(3):
        before = scores(seed, spread)
        before[1, 50:] = -np.inf  # after another filter
        before[2, 2:] = -np.inf
        expected = other(None, torch.tensor(before)).numpy()
        found = warp(np.zeros((len(before), 1), dtype=np.int64), before.copy())
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_filters_together_and_in_order() -> None:
    options: dict[str, Any] = {
        "temperature": 1.3,
        "top_h": 0.95,
        "top_k": 60,
        "top_p": 0.9,
        "min_p": 0.01,
        "typical_p": 0.8,
        "epsilon_cutoff": 0.003,
        "eta_cutoff": 0.01,
    }
    ours = warpers(GenerationConfig(do_sample=True, **options))
    other = [
        theirs.TemperatureLogitsWarper(1.3),
        theirs.TopHLogitsWarper(0.95),
        theirs.TopKLogitsWarper(60),
        theirs.TopPLogitsWarper(0.9),
        theirs.MinPLogitsWarper(0.01),
        theirs.TypicalLogitsWarper(0.8),
        theirs.EpsilonLogitsWarper(0.003),
        theirs.EtaLogitsWarper(0.01),
    ]
    for seed in range(20):
        before = scores(seed, 1.5)
        expected, found = torch.tensor(before), before.copy()
        for mine, processor in zip(ours, other, strict=True):
            expected = processor(None, expected)
            found = mine(np.zeros((len(before), 1), dtype=np.int64), found)
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6)


def test_processors_of_all_options_in_order() -> None:
    options: dict[str, Any] = {
        "sequence_bias": [[[10], 1.5], [[11, 12], -1.0]],
        "encoder_repetition_penalty": 1.4,
        "repetition_penalty": 1.2,
        "no_repeat_ngram_size": 3,
        "encoder_no_repeat_ngram_size": 3,
        "bad_words_ids": [[13, 14], [60]],
        "min_new_tokens": 3,
        "forced_eos_token_id": 5,
        "remove_invalid_values": True,
        "exponential_decay_length_penalty": (1, 1.1),
        "suppress_tokens": [70, 71],
        "begin_suppress_tokens": [72],
        "do_sample": True,
        "temperature": 1.3,
        "top_k": 90,
        "top_p": 0.98,
        "min_p": 0.001,
        "typical_p": 0.95,
        "epsilon_cutoff": 1e-4,
        "eta_cutoff": 2e-4,
        "renormalize_logits": True,
        "max_new_tokens": STEPS,
        "eos_token_id": list(EOS),
        "pad_token_id": PAD,
    }
    model = generating.model("t5")
    prepared, _ = model._prepare_generation_config(None, **options)
    prepared.max_length, prepared.min_length = PROMPT + STEPS, PROMPT + 3  # as generate() works them out
    model._prepare_special_tokens(prepared)
    other = model._get_logits_processor(
        prepared,
        input_ids_seq_length=PROMPT,
        encoder_input_ids=torch.tensor(ENCODER),
        prefix_allowed_tokens_fn=lambda row, ids: list(range(5, 200)),
        model_kwargs={"decoder_attention_mask": torch.tensor(histories(0)[0] >= 0)},
    )
    config = GenerationConfig(**options).resolve(PROMPT, rows=INPUTS)
    ours = processors(config, PROMPT, ENCODER, allowed=lambda row, ids: range(5, 200))
    assert len(ours) == len(other) - 1  # min_length and min_new_tokens are one
    for step, tokens in enumerate(histories(2)):
        before = scores(step)
        expected = other(torch.tensor(np.where(tokens < 0, PAD, tokens)), torch.tensor(before)).numpy()
        found = before.copy()
        for change in ours:
            found = change(tokens, found)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


TEXT = ["the stop sign stops the bus", "don't stop at the shop, topper!", "größer 你好 🤗 und 🤗🤗", "a b c"] * 3


def _byte_level() -> Any:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def _byte_fallback() -> Any:
    pieces = [
        "<unk>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *"abcdefghijklmnopqrstuvwxyz▁.,!'",
        "▁s",
        "to",
        "▁sto",
    ]
    pieces += ["op", "pp"]
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    merges = [("▁", "s"), ("t", "o"), ("▁s", "to"), ("o", "p"), ("p", "p")]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.Prepend("▁"), tokenizers.normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = tokenizers.decoders.Sequence(
        [
            tokenizers.decoders.Replace("▁", " "),
            tokenizers.decoders.ByteFallback(),
            tokenizers.decoders.Fuse(),
            tokenizers.decoders.Strip(" ", 1, 0),
        ]
    )
    return tokenizer


def _metaspace() -> Any:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.decoder = tokenizers.decoders.Metaspace()
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=90, unk_token="<unk>", special_tokens=["<unk>"], initial_alphabet=[*"abcdef"], show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


@pytest.mark.parametrize("strings", [["stop"], ["p t", "🤗", "shop,"], ["o"], [" stops the", "你好", "ö"]], ids=str)
@pytest.mark.parametrize("make", [_byte_level, _byte_fallback, _metaspace])
def test_stop_strings(make: Callable[[], Any], strings: list[str], tmp_path: Path) -> None:
    backend = make()
    backend.save(str(tmp_path / "tokenizer.json"))
    criterion = transformers.StopStringCriteria(
        transformers.PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>"), strings
    )
    stop = StopStrings(Tokenizer(tmp_path), strings)
    random, stopped = np.random.default_rng(0), []
    words = [backend.encode(text).ids for text in TEXT[:4]]
    for _ in range(60):
        row = random.permutation(len(words))
        tokens = np.concatenate([words[place] for place in row])
        noise = random.random(len(tokens)) < 0.1
        tokens[noise] = random.integers(0, backend.get_vocab_size(), noise.sum())
        for length in range(1, len(tokens) + 1, 2):
            part = tokens[None, :length]
            expected = bool(criterion(torch.tensor(part), None)[0])
            padded = np.concatenate((np.full((1, 3), -1), part), axis=1)
            assert bool(stop(padded)[0]) == expected, backend.decode(part[0].tolist(), skip_special_tokens=False)
            stopped.append(expected)
    assert 0 < sum(stopped) < len(stopped) / 2
