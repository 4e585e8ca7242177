"""Text generation: a text, or a chat, to its continuation by a language model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ..errors import InputError, OptionError
from ..generation.config import GenerationConfig
from .base import check_flag, check_text
from .generating import GeneratingPipeline, Prompt
from .generation_options import GenerationOptions
from .prompts import begun, check_room, keep_end, longest_prompt, prompt_tokens


@dataclass(frozen=True)
class TextGenerationOptions(GenerationOptions):
    """Options of text generation, beside those of every generation.

    Attributes:
        return_full_text: answer with the prompt and its continuation, otherwise with the continuation alone.
        handle_long_generation: ``"hole"`` keeps only the end of a prompt that leaves no room for what is to be
            generated, with a warning.
        truncation: cut the end of a prompt that leaves no room for what is to be generated, with a warning, instead of
            refusing it.
        continue_final_message: whether a chat's last message is continued rather than answered; None does so where it
            is the assistant's.
        add_special_tokens: whether the tokenizer adds its special tokens to a text. A chat's template has its own.
        tokenizer_encode_kwargs: further variables of the chat template, such as ``tools`` or ``enable_thinking``.
    """

    return_full_text: bool | None = None
    handle_long_generation: Literal["hole"] | None = None
    truncation: bool = False
    continue_final_message: bool | None = None
    add_special_tokens: bool = True
    tokenizer_encode_kwargs: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("truncation", "add_special_tokens"):
            check_flag(name, getattr(self, name))
        for name in ("return_full_text", "continue_final_message"):
            if (value := getattr(self, name)) is not None:
                check_flag(name, value)
        if self.return_full_text is not None and (self.return_text is not None or self.return_tensors is not None):
            raise OptionError("return_full_text chooses between two texts: it goes with neither return_text nor "
                              "return_tensors")  # fmt: skip
        if self.handle_long_generation not in ("hole", None):
            raise OptionError(f"handle_long_generation must be 'hole' or None, not {self.handle_long_generation!r}")
        if not isinstance(self.tokenizer_encode_kwargs, Mapping | None):
            raise OptionError(f"tokenizer_encode_kwargs must be a dictionary, not {self.tokenizer_encode_kwargs!r:.80}")


class TextGenerationPipeline(GeneratingPipeline[TextGenerationOptions]):
    """Continuations of a text, ``str``, or answers to a chat, a list of ``{"role": str, "content": str}``.

    One input is answered by a list of ``{"generated_text": str}``, one for each of ``num_return_sequences``; many
    inputs by such lists. The text of a chat is the chat with the answer as its last message. Without a word from the
    call or the checkpoint, up to 256 tokens are sampled at a temperature of 0.7. An empty text is begun with the
    beginning-of-sequence token. Options: :class:`TextGenerationOptions` and those of
    :class:`torchless.generation.GenerationConfig`.

    Example:
        >>> write = pipeline("text-generation", "models/gpt2")      # doctest: +SKIP
        >>> write("The dog", do_sample=False, max_new_tokens=5)      # doctest: +SKIP
        [{'generated_text': 'The dog was found in a field'}]
        >>> for piece in write.stream("The dog", seed=1):      # doctest: +SKIP
        ...     print(piece, end="", flush=True)
    """

    task = "text-generation"
    encoder_decoder = False
    defaults: ClassVar[Mapping[str, Any]] = {"max_new_tokens": 256, "do_sample": True, "temperature": 0.7}
    clean_up = True
    options_type = TextGenerationOptions

    def __call__(self, *args: Any, text_inputs: Any = None, **options: Any) -> Any:
        """Continue; see the class. ``text_inputs`` is transformers' name for the inputs."""
        args = args if text_inputs is None else (*args, text_inputs)
        return super().__call__(*args, **options)

    def _is_single(self, inputs: Any, options: TextGenerationOptions) -> bool:
        return _is_chat(inputs) or super()._is_single(inputs, options)

    def _can_pad(self, prompt: Prompt, config: GenerationConfig) -> bool:
        # What counts all tokens would count the padding; where the model's positions end the text, too.
        if config.max_new_tokens is None or (config.min_length and config.min_new_tokens is None):
            return False
        if config.exponential_decay_length_penalty is not None or config.forced_bos_token_id is not None:
            return False
        limit = self.generator.position_limit
        return limit is None or len(prompt.tokens) + config.max_new_tokens <= limit

    def _prompts(self, items: list[Any], options: TextGenerationOptions) -> list[Prompt]:
        chats = [isinstance(item, (list, tuple)) for item in items]
        texts = [
            self._rendered(item, options) if chat else (options.prefix or "") + check_text(item)
            for item, chat in zip(items, chats, strict=True)
        ]
        prompts: list[Prompt | None] = [None] * len(items)
        for chat in set(chats):  # a template writes the special tokens itself
            rows = [row for row, kind in enumerate(chats) if kind == chat]
            special_tokens = options.add_special_tokens and not chat
            for row, tokens in zip(
                rows, self._tokens([texts[row] for row in rows], special_tokens, options), strict=True
            ):
                read = begun(tokens, options.config.bos_token_id)
                prompts[row] = Prompt(read, read, len(tokens), items[row])
        return [prompt for prompt in prompts if prompt is not None]

    def _tokens(self, texts: list[str], special_tokens: bool, options: TextGenerationOptions) -> list[list[int]]:
        config, limit = options.config, self.generator.position_limit
        longest = longest_prompt(config, limit) if options.truncation else None
        prompts = prompt_tokens(self.tokenizer, texts, special_tokens=special_tokens, longest=longest)
        if options.handle_long_generation == "hole":
            prompts = [keep_end(tokens, config, limit) for tokens in prompts]
        for tokens in prompts:
            check_room(tokens, limit)
        return prompts

    def _rendered(self, chat: Any, options: TextGenerationOptions) -> str:
        _check_chat(chat)
        variables = options.tokenizer_encode_kwargs or {}
        return self.tokenizer.apply_chat_template(chat, continue_final_message=_continues(chat, options), **variables)

    def _records(
        self, prompt: Prompt, sequences: list[list[int]], options: TextGenerationOptions
    ) -> list[dict[str, Any]]:
        if options.tensors:
            return [{"generated_token_ids": tokens} for tokens in sequences]
        before = len(self._decode(prompt.start[: prompt.hidden], options))
        texts = [self._decode(tokens, options)[before:] for tokens in sequences]
        if options.return_full_text is False:
            return [{"generated_text": text} for text in texts]
        return [{"generated_text": _full(prompt.context, text, options)} for text in texts]


def _is_chat(value: Any) -> bool:
    """Whether an input is one chat: a list of messages, which are dictionaries."""
    return isinstance(value, (list, tuple)) and len(value) > 0 and isinstance(value[0], Mapping)


def _check_chat(chat: Any) -> None:
    if not _is_chat(chat):
        raise InputError(f'a chat is a list of messages {{"role": ..., "content": ...}}, not {chat!r:.80}')
    for message in chat:
        if not isinstance(message, Mapping) or not {"role", "content"} <= set(message):
            raise InputError(f'a message is a dictionary {{"role": ..., "content": ...}}, not {message!r:.80}')
        if not isinstance(message["role"], str) or not isinstance(message["content"], (str, list, type(None))):
            raise InputError(f"a message has texts for its role and its content, not {message!r:.80}")


def _continues(chat: Any, options: TextGenerationOptions) -> bool:
    """Whether the chat's last message is to be continued."""
    if options.continue_final_message is None:
        return bool(chat[-1]["role"] == "assistant")
    return options.continue_final_message


def _full(item: Any, text: str, options: TextGenerationOptions) -> Any:
    """The input with its continuation."""
    if isinstance(item, str):
        return item + text
    if not _continues(item, options):
        return [*item, {"role": "assistant", "content": text}]
    return [*item[:-1], {**item[-1], "content": item[-1]["content"] + text}]
