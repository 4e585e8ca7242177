"""The options of a generation: a checkpoint's defaults, a caller's wishes, and whether they go together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from ..errors import OptionError
from ..files import read_json
from .contradictions import SAMPLING, check
from .options import CHECKS, HARMLESS, UNIMPLEMENTED, refuse

_SPECIAL = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")


@dataclass(frozen=True, init=False, repr=False)
class GenerationConfig:
    """How to generate. Names, meanings and defaults are those of transformers' ``GenerationConfig``.

    Every option can be left out; what is left out comes from the checkpoint, and then from the defaults below. None
    means left out here, and "none" or the default in :meth:`replace`. Options of transformers that cannot change a
    token (``use_cache=True``, ``return_dict_in_generate``, ``output_attentions=False`` and the rest of
    ``options.HARMLESS``) are taken and ignored; every other one that is not listed here raises.

    Raises:
        OptionError: an unknown option, one that is not implemented, or a malformed value.

    Example:
        >>> GenerationConfig(num_beams=4).replace(max_new_tokens=60)
        GenerationConfig(max_new_tokens=60, num_beams=4)
    """

    # Length, in tokens: with the prompt for a decoder-only model, of the decoder's tokens for an encoder-decoder.
    max_length: int = 20  # left out, 20 tokens are added to the prompt
    max_new_tokens: int | None = None  # beats max_length
    min_length: int = 0  # no end-of-sequence token before
    min_new_tokens: int | None = None  # beats min_length
    max_time: float | None = None  # seconds; the step in which they pass is the last
    stop_strings: tuple[str, ...] | None = None  # texts that end a row where one is complete
    # Strategy.
    do_sample: bool = False  # draw from the distribution, instead of its maximum
    num_beams: int = 1  # hypotheses of a beam search; 1 is none
    num_return_sequences: int = 1  # answers for each input
    early_stopping: bool | Literal["never"] = False  # True: at num_beams finished; "never": until none can be better
    length_penalty: float = 1.0  # a finished beam scores its log-probability / new tokens ** length_penalty
    prompt_lookup_num_tokens: int | None = None  # greedy: tokens guessed at once from the text so far
    max_matching_ngram_size: int = 2  # longest n-gram by which they are looked up
    # What sampling draws from, in the order in which it applies.
    temperature: float = 1.0  # logits are divided by it
    top_h: float | None = None  # share of the entropy that the most probable tokens may have
    top_k: int | None = 50  # most probable tokens kept; 0 or None keeps all
    top_p: float = 1.0  # most probable tokens kept that sum to this probability
    min_p: float | None = None  # tokens kept at least this probable, as a share of the most probable one
    typical_p: float = 1.0  # probability of the locally most typical tokens kept
    epsilon_cutoff: float = 0.0  # tokens kept at least this probable
    eta_cutoff: float = 0.0  # the same, adapted to the entropy
    # What changes the logits.
    sequence_bias: dict[tuple[int, ...], float] | None = None  # added to the token that completes a sequence
    encoder_repetition_penalty: float = 1.0  # above 1 favours tokens of the input
    repetition_penalty: float = 1.0  # above 1 disfavours tokens that were there
    no_repeat_ngram_size: int = 0  # n-grams of this size occur once; 0 is off
    encoder_no_repeat_ngram_size: int = 0  # n-grams of this size of the input do not occur; 0 is off
    bad_words_ids: tuple[tuple[int, ...], ...] | None = None  # sequences that are never completed
    forced_bos_token_id: int | None = None  # the token after a single first one
    forced_eos_token_id: int | tuple[int, ...] | None = None  # the last token at max_length
    remove_invalid_values: bool = False  # NaN and infinities become numbers
    exponential_decay_length_penalty: tuple[int, float] | None = None  # (start, factor): growing favour of the end
    suppress_tokens: tuple[int, ...] | None = None  # never generated
    begin_suppress_tokens: tuple[int, ...] | None = None  # not generated first
    renormalize_logits: bool = False  # scores are log-probabilities again after all of this
    # Special tokens.
    pad_token_id: int | None = None  # fills finished rows; the first end-of-sequence token where there is none
    bos_token_id: int | None = None  # begins where a decoder has no start token
    eos_token_id: int | tuple[int, ...] | None = None  # ends a row; one or several
    decoder_start_token_id: int | None = None  # begins an encoder-decoder's answer
    # What is returned besides the tokens.
    output_scores: bool = False  # processed scores of every step
    output_logits: bool = False  # the model's own logits of every step
    # Book-keeping, not options: what somebody set, what the caller of this request did, and a checkpoint's wishes that
    # cannot be met, with the reason.
    given: frozenset[str] = frozenset()
    explicit: frozenset[str] = frozenset()
    problems: tuple[tuple[str, str], ...] = ()

    def __init__(self, **options: Any) -> None:
        options = {name: value for name, value in options.items() if value is not None}
        self._set(_accept(options), frozenset(options), frozenset(options))

    @classmethod
    def read(cls, folder: Path, config: Mapping[str, Any]) -> GenerationConfig:
        """A checkpoint's defaults: its ``generation_config.json``, or without one the options in ``config.json``.

        As in transformers, the second is read only without the first, and options that are set nowhere else are taken
        from its ``decoder``, ``generator`` or ``text_config``. Names that are unknown, and negative special tokens, are
        ignored. A value that cannot be honoured raises when something is generated, unless the caller replaces it.

        Args:
            folder: the bundle's.
            config: its ``config.json``.

        Raises:
            BundleError: ``generation_config.json`` is not a JSON object.
        """
        declared = read_json(folder / "generation_config.json")
        if declared is None:
            declared = _legacy(config)
        values: dict[str, Any] = {}
        problems = {}
        for name, value in declared.items():
            if value is None or (name in _SPECIAL and isinstance(value, int) and value < 0):
                continue
            try:
                if name in CHECKS or name in UNIMPLEMENTED:
                    values |= _accept({name: value})
            except OptionError as error:
                problems[name] = f"the checkpoint's generation options cannot be met: {error}"
        defaults = cls.__new__(cls)
        defaults._set(values, frozenset(values), frozenset(), tuple(problems.items()))
        return defaults

    def replace(self, **options: Any) -> GenerationConfig:
        """The same options except for those given, which count as asked for in this call.

        None stands for no such token, limit or filter, and for the default where an option cannot be without a value.

        Raises:
            OptionError: an unknown option, one that is not implemented, or a malformed value.
        """
        values = _accept(options)
        dropped = {name for name, value in options.items() if value is None and name not in _OPTIONAL}
        problems = tuple((name, why) for name, why in self.problems if name not in options)
        return self._with(values, (self.given | set(values)) - dropped, self.explicit | set(options), problems)

    def suggest(self, **options: Any) -> GenerationConfig:
        """The same options except for those given, which count as defaults: idle where they do not apply.

        Raises:
            OptionError: an unknown option, one that is not implemented, or a malformed value.
        """
        chosen = self.replace(**options)
        object.__setattr__(chosen, "explicit", self.explicit - set(options))
        return chosen

    def override(self, other: GenerationConfig | None) -> GenerationConfig:
        """These options, except for those that were set in ``other``."""
        if other is None:
            return self
        values = {name: getattr(other, name) for name in other.given}
        mine = tuple((name, why) for name, why in self.problems if name not in other.given)
        return self._with(values, self.given | other.given, self.explicit | other.explicit, mine + other.problems)

    def resolve(
        self, prompt_length: int, *, rows: int = 1, position_limit: int | None = None, tokenizer: bool = False
    ) -> GenerationConfig:
        """The options of one request: lengths counted from its beginning, and nothing that contradicts.

        Args:
            prompt_length: tokens before the first new one: the longest prompt, or the decoder's first tokens.
            rows: inputs in the batch.
            position_limit: the ``max_position_embeddings`` of ``config.json``, to which the default length is cut.
            tokenizer: whether there is one, which stop strings need.

        Returns:
            Options with ``max_length`` and ``min_length`` in tokens of the whole row, and a ``pad_token_id`` wherever
            there is an ``eos_token_id``.

        Raises:
            OptionError: two options contradict each other, or the checkpoint wants one that cannot be met.
        """
        for name, why in self.problems:
            if self.do_sample or name not in SAMPLING:
                raise OptionError(why)
        values: dict[str, Any] = {"max_length": self._max_length(prompt_length, position_limit)}
        if self.min_new_tokens is not None:
            values["min_length"] = prompt_length + self.min_new_tokens
        if self.pad_token_id is None and self.eos_tokens:
            values["pad_token_id"] = self.eos_tokens[0]
        resolved = self._with(values, self.given, self.explicit, ())
        check(resolved, prompt_length, rows=rows, tokenizer=tokenizer)
        return resolved

    @property
    def eos_tokens(self) -> tuple[int, ...]:
        """The end-of-sequence tokens, none, one or several."""
        eos = self.eos_token_id
        return () if eos is None else eos if isinstance(eos, tuple) else (eos,)

    def _max_length(self, prompt_length: int, position_limit: int | None) -> int:
        if self.max_new_tokens is not None:
            return prompt_length + self.max_new_tokens
        if "max_length" in self.given:
            return self.max_length
        return min(prompt_length + self.max_length, position_limit or prompt_length + self.max_length)

    def _with(
        self,
        values: Mapping[str, Any],
        given: frozenset[str],
        explicit: frozenset[str],
        problems: tuple[tuple[str, str], ...],
    ) -> GenerationConfig:
        new = type(self).__new__(type(self))
        current = {name: getattr(self, name) for name in CHECKS}
        new._set({**current, **values}, frozenset(given), frozenset(explicit & set(CHECKS)), problems)
        return new

    def _set(
        self,
        values: Mapping[str, Any],
        given: frozenset[str],
        explicit: frozenset[str],
        problems: tuple[tuple[str, str], ...] = (),
    ) -> None:
        state = {field.name: values.get(field.name, field.default) for field in fields(self)}
        state |= {"given": given & set(CHECKS), "explicit": explicit & set(CHECKS), "problems": problems}
        for name, value in state.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        shown = [field.name for field in fields(self) if field.name in self.given]
        return f"GenerationConfig({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(GenerationConfig)}
_OPTIONAL = {name for name, default in _DEFAULTS.items() if default is None} | {"top_k"}


def _accept(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options checked and in their own types; those that ask for nothing are left out."""
    accepted = {}
    for name, value in options.items():
        if name not in CHECKS:
            reason = refuse(name, value)
            if reason is not None:
                raise OptionError(reason)
        elif value is None:
            accepted[name] = None if name in _OPTIONAL else _DEFAULTS[name]
        else:
            accepted[name] = CHECKS[name](name, value)
    return accepted


def _legacy(config: Mapping[str, Any]) -> dict[str, Any]:
    """The generation options in ``config.json``, where checkpoints had them once."""
    parts = [config]
    parts += [part for name in ("decoder", "generator", "text_config") if isinstance(part := config.get(name), Mapping)]
    names = [*CHECKS, *UNIMPLEMENTED, *HARMLESS]
    found: dict[str, Any] = {}
    for part in reversed(parts[:2]):
        found |= {name: part[name] for name in names if part.get(name) is not None}
    if config.get("force_bos_token_to_be_generated"):
        found["forced_bos_token_id"] = config.get("bos_token_id")
    return found
