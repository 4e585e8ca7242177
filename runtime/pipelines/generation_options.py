"""The options that every task that generates text has beside those of the generation itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import OptionError
from ..generation.config import GenerationConfig
from ..generation.options import CHECKS
from .base import check_flag

# A default of these is left out where nothing is drawn.
_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "top_h")


@dataclass(frozen=True)
class GenerationOptions:
    """Options of every task that generates; those of :class:`torchless.generation.GenerationConfig` come on top.

    Attributes:
        generation_config: takes the place of the checkpoint's options and the task's defaults.
        prefix: text put before every input; None takes the checkpoint's own.
        stop_sequence: a text, or several, that end the answer where one is complete.
        return_tensors: answer with token ids instead of text.
        return_text: the opposite of ``return_tensors``.
        clean_up_tokenization_spaces: whether to remove the spaces that word pieces leave before punctuation; None
            chooses by the task. The text of byte-pair encodings is never changed.
        skip_special_tokens: leave special tokens out of the text.
        seed: an integer, with which a call always draws the same, or a NumPy generator; None draws afresh.
        streamer: called with each piece of the answer as it is made, which needs ``num_beams=1``.
        logits_processors: called with the tokens so far and the next token's scores, in order, after the project's own.
        prefix_allowed_tokens_fn: called with the row and its tokens, gives the tokens that may follow.
        stopping: called with the tokens so far after each step, tells whether to end.
    """

    generation_config: GenerationConfig | None = None
    prefix: str | None = None
    stop_sequence: str | Sequence[str] | None = None
    return_tensors: bool | None = None
    return_text: bool | None = None
    clean_up_tokenization_spaces: bool | None = None
    skip_special_tokens: bool = True
    seed: int | np.random.Generator | None = None
    streamer: Callable[[str], Any] | None = None
    logits_processors: Sequence[Callable[..., Any]] = ()
    prefix_allowed_tokens_fn: Callable[..., Any] | None = None
    stopping: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.generation_config, GenerationConfig | None):
            raise OptionError(f"generation_config must be a GenerationConfig, not {self.generation_config!r:.80}")
        if not isinstance(self.prefix, str | None):
            raise OptionError(f"prefix must be a text, not {self.prefix!r:.80}")
        check_flag("skip_special_tokens", self.skip_special_tokens)
        for name in ("return_tensors", "return_text", "clean_up_tokenization_spaces"):
            if (value := getattr(self, name)) is not None:
                check_flag(name, value)
        if self.return_text is not None and self.return_text == self.return_tensors:
            raise OptionError(f"return_text={self.return_text} and return_tensors={self.return_tensors} contradict")
        if isinstance(self.seed, int) and not isinstance(self.seed, bool) and self.seed >= 0:
            object.__setattr__(self, "seed", np.random.default_rng(self.seed))
        elif self.seed is not None and not isinstance(self.seed, np.random.Generator):  # numpy.random loads slowly
            raise OptionError(f"seed must be an integer of at least 0 or a NumPy generator, not {self.seed!r:.80}")
        if not (isinstance(self.logits_processors, (list, tuple)) and all(map(callable, self.logits_processors))):
            raise OptionError(f"logits_processors must be a list of callables, not {self.logits_processors!r:.80}")
        if not isinstance(self.stop_sequence, (str, list, tuple, type(None))):
            raise OptionError(f"stop_sequence must be a text or a list of texts, not {self.stop_sequence!r:.80}")
        for name in ("streamer", "prefix_allowed_tokens_fn", "stopping"):
            if not (getattr(self, name) is None or callable(getattr(self, name))):
                raise OptionError(f"{name} must be callable, not {getattr(self, name)!r:.80}")

    @property
    def tensors(self) -> bool:
        """Whether token ids are the answer."""
        return bool(self.return_tensors) or self.return_text is False

    @property
    def config(self) -> GenerationConfig:
        """How to generate, complete."""
        return self.generation_config or GenerationConfig()

    @property
    def alone(self) -> bool:
        """Whether inputs have to be answered one at a time: what is called by row or step knows no other rows."""
        called = (self.streamer, self.prefix_allowed_tokens_fn, self.stopping)
        return bool(self.logits_processors) or any(map(bool, called)) or bool(self.config.prompt_lookup_num_tokens)


def compose(
    checkpoint: GenerationConfig,
    options: GenerationOptions,
    wishes: Mapping[str, Any],
    *,
    specific: Mapping[str, Any],
    defaults: Mapping[str, Any],
    pad: int | None,
) -> GenerationConfig:
    """How to generate: as the call wishes, then as the checkpoint says, then by the task's defaults.

    Args:
        checkpoint: the checkpoint's options.
        options: the call's, of which ``generation_config`` and ``stop_sequence`` are used here.
        wishes: the call's options of the generation itself.
        specific: the checkpoint's options for the task, which its other options and the defaults give way to.
        defaults: the task's. Its number of new tokens gives way to any ``max_length`` but that in ``specific``, as it
            does in transformers.
        pad: the tokenizer's padding token.

    Raises:
        OptionError: an option that is unknown, not implemented or malformed, or that a pipeline has no answer for.
    """
    wanted = dict(wishes)
    if options.generation_config is not None:
        checkpoint, specific = checkpoint.override(options.generation_config), {}
    if "max_length" in wanted:
        wanted.setdefault("max_new_tokens", None)
    if options.stop_sequence is not None:
        stops = [options.stop_sequence] if isinstance(options.stop_sequence, str) else [*options.stop_sequence]
        wanted["stop_strings"] = [*(wanted.get("stop_strings") or checkpoint.stop_strings or ()), *stops]
    said = checkpoint.given | set(wanted)
    added = {name: value for name, value in defaults.items() if name not in said}
    if "max_length" in said:
        added.pop("max_new_tokens", None)
    added |= {name: value for name, value in specific.items() if name in CHECKS}
    if not {"do_sample": checkpoint.do_sample, **added, **wanted}["do_sample"]:
        added = {name: value for name, value in added.items() if name not in _SAMPLING}
    if checkpoint.pad_token_id is None and pad is not None:
        added["pad_token_id"] = pad
    config = checkpoint.suggest(**added).replace(**wanted)
    if config.output_scores or config.output_logits:
        raise OptionError("a pipeline returns no scores: bundle.generator().generate() does")
    return config
