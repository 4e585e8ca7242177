"""What the pipelines that generate text share: options, prompts in batches, text in pieces."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..errors import InputError, OptionError, TaskError
from ..generation.config import GenerationConfig
from ..generation.generator import Generator
from ..generation.options import CHECKS
from ..generation.output import Step
from ..generation.streaming import TextStream
from .base import Pipeline
from .generation_options import GenerationOptions, compose

Ints = NDArray[np.int64]

# Sequences (inputs x beams or answers) of one batch: on a CPU with two cores 16 GPT-2 prompts take a fifth of the time
# that they take one by one, and twice as many sequences still gain.
SEQUENCES_PER_BATCH = 32
# Tokens (sequences x length) that the cache of one batch has room for: 300 MB for GPT-2.
TOKENS_PER_CACHE = 4096

OptionsT = TypeVar("OptionsT", bound=GenerationOptions)

GENERATION_TYPES = {field.name: str(field.type) for field in fields(GenerationConfig) if field.name in CHECKS}
"""The options of :class:`torchless.generation.GenerationConfig` by name, each with its declared type."""


@dataclass(frozen=True)
class Prompt:
    """One input, tokenized.

    Attributes:
        tokens: what the model reads first.
        start: the tokens that an answer's sequence begins with: the prompt, or the decoder's first tokens.
        hidden: how many of those are no part of the answer's text.
        context: what the task needs to word the answer.
    """

    tokens: list[int]
    start: list[int]
    hidden: int
    context: Any = None


def open_generator(bundle: Bundle, task: str, *, encoder_decoder: bool) -> Generator:
    """The bundle's generator.

    Raises:
        TaskError: it does not generate, or is of the other kind.
    """
    generator = bundle.generator()
    if generator.is_encoder_decoder != encoder_decoder:
        needed = "an encoder and a decoder" if encoder_decoder else "a language model"
        raise TaskError(f"{task!r} needs {needed}; {bundle.folder} has the graphs {', '.join(bundle.dtypes)}")
    return generator


class GeneratingPipeline(Pipeline[OptionsT]):
    """A pipeline in two steps around a generator: inputs to prompts, token ids to the answer.

    Inputs of a list are generated together where that changes no answer: where the options count new tokens. Options
    that count all tokens (``max_length``, ``min_length``) count the padding too, so only prompts of one length are then
    batched.
    """

    lookahead = 64
    # Whether the model encodes its input, or continues it.
    encoder_decoder: ClassVar[bool]
    # Used where neither the call nor the checkpoint says anything, as transformers' pipelines use them.
    defaults: ClassVar[Mapping[str, Any]]
    # Whether the text is cleaned up where the call does not say.
    clean_up: ClassVar[bool] = False

    @classmethod
    def option_types(cls) -> dict[str, str]:
        """The task's options and those of generation by name, each with its declared type."""
        return super().option_types() | GENERATION_TYPES

    @property
    def streams(self) -> bool:
        """Whether there is one text, word after word: no beam search, one answer, no token ids."""
        options = self._options({})
        return options.config.num_beams == options.config.num_return_sequences == 1 and not options.tensors

    def stream(self, text: Any, **options: Any) -> Iterator[str]:
        """The answer to one input in pieces, as they are made.

        Args:
            text: one input.
            options: those of a call; one answer without a beam search.

        Returns:
            Pieces of the new text, none of which splits a character; together they are the text of the answer.

        Raises:
            InputError: an input that cannot be processed, or more than one.
            OptionError: an unknown or malformed option, or one with which there is more than one text.
        """
        chosen = self._options(options)
        if not self._is_single(text, chosen):
            raise InputError(f"only one input can be streamed, not {type(text).__name__}")
        (prompt,) = self._prompts([text], chosen)
        return self._pieces(prompt, chosen, [])

    @abstractmethod
    def _prompts(self, items: list[Any], options: OptionsT) -> list[Prompt]:
        """Check and tokenize inputs."""

    @abstractmethod
    def _records(self, prompt: Prompt, sequences: list[list[int]], options: OptionsT) -> list[dict[str, Any]]:
        """The answers to one input, from their token ids."""

    @abstractmethod
    def _can_pad(self, prompt: Prompt, config: GenerationConfig) -> bool:
        """Whether a row is answered as it is alone, in a batch with longer ones."""

    def _open(self) -> None:
        self.generator = open_generator(self.bundle, self.task, encoder_decoder=self.encoder_decoder)

    def _check_names(self, given: Mapping[str, Any]) -> None:
        known = {field.name for field in fields(self.options_type)} | set(CHECKS)
        if unknown := {name: value for name, value in given.items() if name not in known}:
            try:
                GenerationConfig().replace(**unknown)  # knows what changes nothing, and what is not implemented
            except OptionError as error:
                own = ", ".join(super().option_types())
                raise OptionError(f"{error}; {self.task} also has the options {own}") from error

    def _options(self, given: Mapping[str, Any]) -> OptionsT:
        self._check_names(given)
        before = dict(self._given)
        if "max_length" in given:
            before.pop("max_new_tokens", None)
        if "generation_config" in given:
            before = {name: value for name, value in before.items() if name not in CHECKS}
        merged = {**before, **given}
        names = {field.name for field in fields(self.options_type)}
        own = {name: value for name, value in merged.items() if name in names}
        wishes = {name: value for name, value in merged.items() if name not in names}
        options = self.options_type(**own)
        specific = self._specific(options)
        prefix = specific.pop("prefix", self.bundle.config.get("prefix"))
        if options.prefix is not None or not isinstance(prefix, str):
            prefix = options.prefix or ""
        config = compose(
            self.generator.config, options, wishes, specific=specific, defaults=self.defaults,
            pad=self.tokenizer.ids.get("pad"),
        )  # fmt: skip
        return replace(options, prefix=prefix, generation_config=config)

    def _specific(self, options: OptionsT) -> dict[str, Any]:
        """What the checkpoint's configuration says of the task: a prefix, and generation options."""
        return self._task_parameters(self.task)

    def _task_parameters(self, name: str) -> dict[str, Any]:
        declared = self.bundle.config.get("task_specific_params")
        found = declared.get(name) if isinstance(declared, Mapping) else None
        return dict(found) if isinstance(found, Mapping) else {}

    def _answer(self, items: list[Any], options: OptionsT) -> Iterator[Any]:
        prompts = self._prompts(items, options)
        answers: list[Any] = [None] * len(prompts)
        for rows in self._batches(prompts, options):
            batch = [prompts[row] for row in rows]
            for row, sequences in zip(rows, self._generate(batch, options), strict=True):
                answers[row] = self._records(prompts[row], sequences, options)
        yield from answers

    def _batches(self, prompts: Sequence[Prompt], options: OptionsT) -> Iterator[list[int]]:
        """Rows that are generated together, longest first."""
        config = options.config
        groups: dict[int, list[int]] = defaultdict(list)
        for row in sorted(range(len(prompts)), key=lambda row: -len(prompts[row].tokens)):
            groups[0 if self._can_pad(prompts[row], config) else len(prompts[row].tokens)].append(row)
        for rows in groups.values():
            while rows:
                size = 1 if options.alone else self.batch_size or self._size(prompts[rows[0]], config)
                yield rows[:size]
                rows = rows[size:]

    def _size(self, longest: Prompt, config: GenerationConfig) -> int:
        """How many inputs are generated together, of which one is the longest."""
        length = len(longest.start) + (config.max_new_tokens or max(1, config.max_length - len(longest.start)))
        length = min(length, self.generator.position_limit or length)
        sequences = min(SEQUENCES_PER_BATCH, TOKENS_PER_CACHE // length)
        return max(1, sequences // max(config.num_beams, config.num_return_sequences))

    def _generate(self, batch: Sequence[Prompt], options: OptionsT) -> Iterator[list[list[int]]]:
        """Per prompt its answers' tokens, those that were there before included."""
        if options.streamer is not None:
            tokens: list[int] = []
            for piece in self._pieces(batch[0], options, tokens):
                options.streamer(piece)
            yield [tokens]
            return
        config = options.config
        ids, mask = _padded([prompt.tokens for prompt in batch])
        output = self.generator.generate(ids, mask, generation_config=config, **_request(options))
        start = output.prompt_length
        groups = output.sequences.reshape(len(batch), -1, output.sequences.shape[1])  # (inputs, answers, length)
        for prompt, answers in zip(batch, groups, strict=True):
            lengths = [_length(answer[start:], config) for answer in answers]
            end = start + max(lengths) if len(batch) > 1 else answers.shape[1]
            yield answers[:, start - len(prompt.start) : end].tolist()

    def _pieces(self, prompt: Prompt, options: OptionsT, tokens: list[int]) -> Iterator[str]:
        """The answer in pieces; its tokens are added to ``tokens``.

        Raises:
            OptionError: there is more than one text.
        """
        config = options.config
        if config.num_beams > 1 or config.num_return_sequences > 1:
            raise OptionError(
                f"num_beams={config.num_beams} and num_return_sequences={config.num_return_sequences}: there is more "
                "than one text, and which is the best shows in the end; a stream needs 1 of both"
            )
        ids, mask = _padded([prompt.tokens])
        steps = self.generator.stream(ids, mask, generation_config=config, **_request(options))
        return self._worded(steps, prompt, options, tokens)

    def _worded(self, steps: Iterable[Step], prompt: Prompt, options: OptionsT, tokens: list[int]) -> Iterator[str]:
        tokens += prompt.start
        text = TextStream(lambda ids, **_: self._decode(ids, options))
        # What follows may still change the end of the prompt's text, which is then in the first piece.
        before = prompt.start[: prompt.hidden]
        skip = len(self._decode(before, options)) - len(text.feed(before))
        if shown := text.feed(prompt.start[prompt.hidden :]):
            yield shown
        for step in steps:
            token = int(step.tokens[0])
            tokens.append(token)
            piece = text.feed(token)
            skip, piece = skip - len(piece[:skip]), piece[skip:]
            if piece:
                yield piece
        if piece := text.end()[skip:]:
            yield piece

    def _decode(self, tokens: Sequence[int], options: OptionsT) -> str:
        clean_up = options.clean_up_tokenization_spaces
        return self.tokenizer.decode(
            tokens,
            skip_special_tokens=options.skip_special_tokens,
            clean_up_tokenization_spaces=self.clean_up if clean_up is None else clean_up,
        )


def _request(options: GenerationOptions) -> dict[str, Any]:
    return {
        "seed": options.seed,
        "logits_processors": options.logits_processors,
        "prefix_allowed_tokens_fn": options.prefix_allowed_tokens_fn,
        "stopping": options.stopping,
    }


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Ints, Ints]:
    """Rows padded on the left to the longest, and their mask: int64 ``(rows, length)`` both."""
    longest = max(map(len, rows))
    ids = np.zeros((len(rows), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(rows):
        ids[row, longest - len(tokens) :] = tokens
        mask[row, longest - len(tokens) :] = 1
    return ids, mask


def _length(tokens: Ints, config: GenerationConfig) -> int:
    """How many of a finished row's new tokens are no padding."""
    ends = np.flatnonzero(np.isin(tokens, config.eos_tokens))
    if ends.size:
        return int(ends[0]) + 1
    if not config.stop_strings:  # what else ends rows ends all of them
        return len(tokens)
    kept = np.flatnonzero(tokens != config.pad_token_id)
    return int(kept[-1]) + 1 if kept.size else 0
