"""Text to text: an input to what an encoder-decoder makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from ..errors import InputError, OptionError
from ..generation.config import GenerationConfig
from ..tokenizer import Truncation
from .base import check_flag, check_text
from .generating import GeneratingPipeline, Prompt
from .generation_options import GenerationOptions


@dataclass(frozen=True)
class Text2TextGenerationOptions(GenerationOptions):
    """Options of text to text, summarization and translation, beside those of every generation.

    Attributes:
        truncation: cut an input that exceeds the model's limit, with a warning, instead of giving it to the model.
    """

    truncation: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag("truncation", self.truncation)


OptionsT = TypeVar("OptionsT", bound=Text2TextGenerationOptions)


class EncoderDecoderPipeline(GeneratingPipeline[OptionsT]):
    """What the tasks of an encoder-decoder share; their answers differ in their name only."""

    encoder_decoder = True
    defaults: ClassVar[Mapping[str, Any]] = {"max_new_tokens": 256, "num_beams": 4}
    # What an answer is called: `<name>_text`, `<name>_token_ids`.
    name: ClassVar[str]

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Answer; see the class. As in transformers, inputs of a list with one answer each get no list of their own."""
        inputs = self._input(args, options)
        answers = self._call(inputs, options)
        if isinstance(inputs, list) and all(len(answer) == 1 for answer in answers):
            return [answer[0] for answer in answers]
        return answers

    def _can_pad(self, prompt: Prompt, config: GenerationConfig) -> bool:
        return True  # lengths are the decoder's, which begins all rows alike

    def _prompts(self, items: list[Any], options: OptionsT) -> list[Prompt]:
        texts = [(options.prefix or "") + check_text(item) for item in items]
        cut: Truncation | None = "longest_first" if options.truncation else None
        rows = [list(encoding.ids) for encoding in self._encode(texts, cut, options)]
        if not all(rows):
            raise InputError(f"{self.task} of an empty text: it has no token")
        start = self._start(options.config)
        return [Prompt(row, start, 0) for row in rows]

    def _encode(self, texts: list[str], truncation: Truncation | None, options: OptionsT) -> list[Any]:
        return self.tokenizer.encode(texts, truncation=truncation)

    def _start(self, config: GenerationConfig) -> list[int]:
        start = config.bos_token_id if config.decoder_start_token_id is None else config.decoder_start_token_id
        if start is None:
            raise OptionError("the checkpoint names no decoder_start_token_id to begin an answer with: give one")
        return [start]

    def _records(self, prompt: Prompt, sequences: list[list[int]], options: OptionsT) -> list[dict[str, Any]]:
        if options.tensors:
            return [{f"{self.name}_token_ids": tokens} for tokens in sequences]
        return [{f"{self.name}_text": self._decode(tokens, options)} for tokens in sequences]


class Text2TextGenerationPipeline(EncoderDecoderPipeline[Text2TextGenerationOptions]):
    """What an encoder-decoder makes of a text, ``str``: ``{"generated_text": str}``.

    One input is answered by a list, one answer for each of ``num_return_sequences``; many inputs by a list of answers,
    or of lists where there are several for each. Without a word from the call or the checkpoint, 4 beams make up to 256
    tokens. The checkpoint's ``task_specific_params`` are used as transformers 4.57 uses them. Options:
    :class:`Text2TextGenerationOptions` and those of :class:`torchless.generation.GenerationConfig`.

    Example:
        >>> answer = pipeline("text2text-generation", "models/t5")      # doctest: +SKIP
        >>> answer("translate English to German: The house is wonderful.")      # doctest: +SKIP
        [{'generated_text': 'Das Haus ist wunderbar.'}]
    """

    task = "text2text-generation"
    name = "generated"
    options_type = Text2TextGenerationOptions
