"""The one place where options that do not go together are found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import OptionError

if TYPE_CHECKING:
    from .config import GenerationConfig

# Options that need sampling or beams, and the values with which they change nothing, so that giving them is no mistake.
SAMPLING: dict[str, tuple[Any, ...]] = {
    "temperature": (1.0,),
    "top_k": (None, 0, 50),
    "top_p": (1.0,),
    "min_p": (None, 0.0),
    "top_h": (None,),
    "typical_p": (1.0,),
    "epsilon_cutoff": (0.0,),
    "eta_cutoff": (0.0,),
}
BEAMS: dict[str, tuple[Any, ...]] = {"early_stopping": (False,), "length_penalty": (1.0,)}


def check(config: GenerationConfig, prompt_length: int, *, rows: int, tokenizer: bool) -> None:
    """Check the options of one request against each other.

    Args:
        config: with lengths that count from the beginning of the row.
        prompt_length: tokens before the first new one.
        rows: inputs in the batch.
        tokenizer: whether there is one.

    Raises:
        OptionError: it names both sides of the contradiction.
    """
    _check_lengths(config, prompt_length)
    _check_strategy(config, rows)
    if config.stop_strings and not tokenizer:
        raise OptionError(f"stop_strings={config.stop_strings!r} need a tokenizer, and there is none")
    if config.exponential_decay_length_penalty and not config.eos_tokens:
        raise OptionError("exponential_decay_length_penalty needs an eos_token_id, whose score it raises")
    for name in ("forced_bos_token_id", "forced_eos_token_id"):
        forced = getattr(config, name)
        tokens = {forced} if isinstance(forced, int) else set(forced or ())
        if tokens and tokens <= set(config.suppress_tokens or ()):
            raise OptionError(f"{name}={forced} is forced and suppressed: it is in suppress_tokens too")


def _check_lengths(config: GenerationConfig, prompt_length: int) -> None:
    if config.max_length <= prompt_length:
        raise OptionError(
            f"max_length={config.max_length} leaves no room after {prompt_length} tokens; "
            "max_new_tokens counts without them"
        )
    # A checkpoint's least length gives way to a caller's limit, as in transformers.
    shortest = next((name for name in ("min_new_tokens", "min_length") if name in config.explicit), None)
    if shortest and config.min_length > config.max_length:
        raise OptionError(
            f"{shortest}={getattr(config, shortest)} wants {config.min_length} tokens, more than the "
            f"{config.max_length} that max_length or max_new_tokens allows ({prompt_length} were there before)"
        )


def _check_strategy(config: GenerationConfig, rows: int) -> None:
    returned = config.num_return_sequences
    if config.num_beams > 1 and returned > config.num_beams:
        raise OptionError(f"num_return_sequences={returned} is more than num_beams={config.num_beams} can give")
    if config.num_beams == 1 and not config.do_sample and returned > 1:
        raise OptionError(f"num_return_sequences={returned} needs do_sample=True or num_beams > 1: greedy has one")
    if not config.do_sample:
        _refuse(config, SAMPLING, "do_sample=True")
    if config.num_beams == 1:
        _refuse(config, BEAMS, "num_beams > 1")
    if config.prompt_lookup_num_tokens is not None:
        for wrong, what in (
            (config.num_beams > 1, f"num_beams={config.num_beams}"),
            (config.do_sample, "do_sample=True"),
            (rows > 1, f"a batch of {rows}"),
        ):
            if wrong:
                raise OptionError(f"prompt_lookup_num_tokens is for greedy decoding of one input, not for {what}")


def _refuse(config: GenerationConfig, neutral: Mapping[str, tuple[Any, ...]], needs: str) -> None:
    """A checkpoint's default that does not apply is idle; a caller's own wish would be silently ignored."""
    for name in sorted(config.explicit & set(neutral)):
        if getattr(config, name) not in neutral[name]:
            raise OptionError(f"{name}={getattr(config, name)!r} has no effect without {needs}")
