"""What each generation option may be: its type and range, and the names that are known but not implemented."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..errors import OptionError

Check: TypeAlias = Callable[[str, Any], Any]


def _integer(minimum: int) -> Check:
    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < minimum:
            raise OptionError(f"{name} must be an integer of at least {minimum}, not {value!r}")
        return int(value)

    return check


def _number(low: float = -math.inf, high: float = math.inf, *, above: bool = False, below: bool = False) -> Check:
    """A finite number from ``low`` to ``high``; ``above`` and ``below`` leave the end itself out."""

    def check(name: str, value: Any) -> float:
        number = not isinstance(value, bool) and isinstance(value, (int, float, np.integer, np.floating))
        if (
            not number
            or not math.isfinite(value)
            or not (low < value if above else low <= value)
            or not (value < high if below else value <= high)
        ):
            ends = f"{'(' if above else '['}{low:g}, {high:g}{')' if below else ']'}"
            raise OptionError(f"{name} must be a finite number in {ends}, not {value!r}")
        return float(value)

    return check


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise OptionError(f"{name} must be True or False, not {value!r}")
    return bool(value)


_token: Check = _integer(0)


def _tokens(name: str, value: Any) -> tuple[int, ...]:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise OptionError(f"{name} must be a list of token ids, not {value!r}")
    return tuple(_token(f"a token of {name}", token) for token in value)


def _token_or_tokens(name: str, value: Any) -> int | tuple[int, ...]:
    """One id as it is; several as a tuple, so that one of them is not lost where only the first counts."""
    if isinstance(value, Iterable):
        tokens = _tokens(name, value)
        if not tokens:
            raise OptionError(f"{name} must name a token, not {value!r}")
        return tokens
    return int(_token(name, value))


def _words(name: str, value: Any) -> tuple[tuple[int, ...], ...]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)) or not value:
        raise OptionError(f"{name} must be a list of lists of token ids, not {value!r}")
    words = tuple(_tokens(name, word) for word in value)
    if not all(words):
        raise OptionError(f"{name} must hold no empty list: {value!r}")
    return words


def _biases(name: str, value: Any) -> dict[tuple[int, ...], float]:
    """``{(ids): bias}``, or the ``[[ids, bias], ...]`` that JSON has instead."""
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    wrong = OptionError(f"{name} must be {{(ids): bias}} or [[ids, bias], ...], not {value!r}")
    if not isinstance(pairs, (list, tuple)) or not pairs:
        raise wrong
    biases = {}
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise wrong
        (sequence,) = _words(name, [pair[0]])
        number = not isinstance(pair[1], bool) and isinstance(pair[1], (int, float, np.floating))
        if not number or math.isnan(pair[1]):
            raise wrong
        biases[sequence] = float(pair[1])
    return biases


def _early_stopping(name: str, value: Any) -> bool | str:
    if not isinstance(value, bool) and not (isinstance(value, str) and value == "never"):
        raise OptionError(f"{name} must be True, False or 'never', not {value!r}")
    return value


def _strings(name: str, value: Any) -> tuple[str, ...]:
    strings = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, (list, tuple)) else ()
    if not strings or not all(isinstance(string, str) and string for string in strings):
        raise OptionError(f"{name} must be a text or a list of texts, none empty, not {value!r}")
    return strings


def _decay(name: str, value: Any) -> tuple[int, float]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise OptionError(f"{name} must be (start, factor), not {value!r}")
    return int(_integer(0)(f"the start of {name}", value[0])), float(_number(0)(f"the factor of {name}", value[1]))


CHECKS: dict[str, Check] = {
    "max_length": _integer(1),
    "max_new_tokens": _integer(1),
    "min_length": _integer(0),
    "min_new_tokens": _integer(0),
    "max_time": _number(0),
    "stop_strings": _strings,
    "do_sample": _flag,
    "num_beams": _integer(1),
    "num_return_sequences": _integer(1),
    "early_stopping": _early_stopping,
    "length_penalty": _number(),
    "prompt_lookup_num_tokens": _integer(1),
    "max_matching_ngram_size": _integer(1),
    "temperature": _number(0, above=True),
    "top_k": _integer(0),
    "top_p": _number(0, 1),
    "min_p": _number(0, 1),
    "top_h": _number(0, 1, above=True),
    "typical_p": _number(0, 1, above=True),
    "epsilon_cutoff": _number(0, 1, below=True),
    "eta_cutoff": _number(0, 1, below=True),
    "repetition_penalty": _number(0, above=True),
    "encoder_repetition_penalty": _number(0, above=True),
    "no_repeat_ngram_size": _integer(0),
    "encoder_no_repeat_ngram_size": _integer(0),
    "bad_words_ids": _words,
    "sequence_bias": _biases,
    "forced_bos_token_id": _token,
    "forced_eos_token_id": _token_or_tokens,
    "remove_invalid_values": _flag,
    "exponential_decay_length_penalty": _decay,
    "suppress_tokens": _tokens,
    "begin_suppress_tokens": _tokens,
    "renormalize_logits": _flag,
    "pad_token_id": _token,
    "bos_token_id": _token,
    "eos_token_id": _token_or_tokens,
    "decoder_start_token_id": _token,
    "output_scores": _flag,
    "output_logits": _flag,
}

# Options of transformers that cannot change a token: accepted with these values, which ask for nothing, and ignored
# whatever they are where a checkpoint's own files have them.
HARMLESS: dict[str, tuple[Any, ...]] = {
    "use_cache": (None, True),
    "return_dict_in_generate": (None, True, False),
    "output_attentions": (None, False),
    "output_hidden_states": (None, False),
    "cache_implementation": (None,),
    "cache_config": (None,),
    "max_cache_len": (None,),
    "compile_config": (None,),
    "disable_compile": (None, True, False),
    "continuous_batching_config": (None,),
    "prefill_chunk_size": (None,),
    "low_memory": (None, False),
    "transformers_version": (None,),
    "_from_model_config": (None, True, False),
    "_commit_hash": (None,),
    # These tune an assistant model, which cannot be given.
    "is_assistant": (None, False),
    "num_assistant_tokens": (None, 20),
    "num_assistant_tokens_schedule": (None, "constant"),
    "assistant_confidence_threshold": (None, 0.4),
    "assistant_lookbehind": (None, 10),
    "target_lookbehind": (None, 10),
}

# Options of transformers that would change tokens: the values that ask for nothing, and why no other is taken.
_MISSING = "is not implemented"
UNIMPLEMENTED: dict[str, tuple[tuple[Any, ...], str]] = {
    "num_beam_groups": (
        (None, 1),
        "is not implemented: transformers 4.57 and later cannot run group beam search alone",
    ),
    "diversity_penalty": ((None, 0), "is not implemented: it is for group beam search, which is not either"),
    "guidance_scale": ((None, 1), _MISSING),
    "watermarking_config": ((None,), _MISSING),
    "token_healing": ((None, False), _MISSING),
    "penalty_alpha": ((None, 0), "is not implemented: contrastive search"),
    "dola_layers": ((None,), _MISSING),
    "constraints": ((None,), "is not implemented; prefix_allowed_tokens_fn constrains what may come next"),
    "force_words_ids": ((None,), "is not implemented; prefix_allowed_tokens_fn constrains what may come next"),
    "assistant_model": ((None,), "is not implemented; prompt_lookup_num_tokens speculates without a second model"),
    "assistant_early_exit": ((None,), _MISSING),
    "assistant_ensemble_weight": ((None,), _MISSING),
    "assistant_tokenizer": ((None,), _MISSING),
    "speculation_type": ((None,), _MISSING),
    "use_mtp": ((None, False), _MISSING),
    "negative_prompt_ids": ((None,), _MISSING),
    "negative_prompt_attention_mask": ((None,), _MISSING),
    "custom_generate": ((None,), "is not implemented: bundles hold no code"),
}


def refuse(name: str, value: Any) -> str | None:
    """Why a caller's option without a check of its own is refused, or None where its value asks for nothing."""
    if name in HARMLESS:
        neutral = HARMLESS[name]
        return None if value in neutral else f"{name}={value!r} has no meaning here; it may be one of {neutral}"
    if name in UNIMPLEMENTED:
        neutral, reason = UNIMPLEMENTED[name]
        return None if value in neutral else f"{name}={value!r} {reason}"
    close = difflib.get_close_matches(name, [*CHECKS, *UNIMPLEMENTED, *HARMLESS], n=3)
    return f"there is no generation option {name!r}" + (f"; did you mean {' or '.join(close)}?" if close else "")
