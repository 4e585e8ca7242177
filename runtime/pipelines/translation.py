"""Translation: a text to the same in another language."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import OptionError, user_stacklevel
from ..tokenizer import Truncation
from .text2text_generation import EncoderDecoderPipeline, Text2TextGenerationOptions


@dataclass(frozen=True)
class TranslationOptions(Text2TextGenerationOptions):
    """Options of translation, beside those of text2text-generation.

    Attributes:
        src_lang: the language of the input, as the checkpoint calls it: ``"en_XX"``, ``"eng_Latn"``, ``"en"``.
        tgt_lang: the language of the answer.
        languages: both, as the task's name has them: ``("en", "de")`` of ``translation_en_to_de``. A checkpoint of one
            pair, which names no languages, does not look at them.
    """

    src_lang: str | None = None
    tgt_lang: str | None = None
    languages: Sequence[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("src_lang", "tgt_lang"):
            if not isinstance(getattr(self, name), str | None):
                raise OptionError(f"{name} must be the name of a language, not {getattr(self, name)!r:.80}")
        pair = self.languages
        listed = isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(one, str) for one in pair)
        if pair is not None and not listed:
            raise OptionError(f"languages must be a pair of names, not {pair!r:.80}")

    @property
    def pair(self) -> tuple[str | None, str | None]:
        """Source and target language: those given, or those of the task's name."""
        if self.src_lang is None and self.tgt_lang is None and self.languages is not None:
            return self.languages[0], self.languages[1]
        return self.src_lang, self.tgt_lang


class TranslationPipeline(EncoderDecoderPipeline[TranslationOptions]):
    """Translations of a text, ``str``: ``{"translation_text": str}``; all else as in text2text-generation.

    The languages are those of the checkpoint, of the task's name, or of ``src_lang`` and ``tgt_lang``. A checkpoint may
    know them in two ways: by a task of its configuration (T5: ``translation_en_to_de`` and its prefix), of which the
    first is taken with a warning where nobody names one, as in transformers; or by tokens of its tokenizer (mBART,
    M2M100, NLLB). Options: :class:`TranslationOptions`.

    Example:
        >>> translate = pipeline("translation_en_to_de", "models/t5")      # doctest: +SKIP
        >>> translate("The house is wonderful.")      # doctest: +SKIP
        [{'translation_text': 'Das Haus ist wunderbar.'}]
    """

    task = "translation"
    name = "translation"
    options_type = TranslationOptions

    def _specific(self, options: TranslationOptions) -> dict[str, Any]:
        source, target = options.pair
        if self.tokenizer.languages:
            forced = {} if target is None else {"forced_bos_token_id": self.tokenizer.language_id(target)}
            return self._task_parameters(self.task) | forced
        known = self._known_pairs()
        if source is None and target is None:
            return self._task_parameters(known[0] if known else self.task)
        name = f"translation_{source}_to_{target}"
        if parameters := self._task_parameters(name):
            return parameters
        if known or options.src_lang is not None or options.tgt_lang is not None:
            raise OptionError(
                f"{self.bundle.folder} does not translate from {source!r} to {target!r}: "
                + (f"it knows {', '.join(known)}" if known else "its checkpoint names no languages")
            )
        return {}

    def _known_pairs(self) -> list[str]:
        declared = self.bundle.config.get("task_specific_params")
        return [name for name in declared if name.startswith("translation_")] if isinstance(declared, dict) else []

    def _encode(self, texts: list[str], truncation: Truncation | None, options: TranslationOptions) -> list[Any]:
        source, target = options.pair
        if not self.tokenizer.languages:
            if source is None and target is None and (known := self._known_pairs()):
                warnings.warn(
                    f"the task names no languages: taking the first of {', '.join(known)}", stacklevel=user_stacklevel()
                )
            return super()._encode(texts, truncation, options)
        if target is None:
            raise OptionError("the checkpoint knows several languages: tgt_lang names the one to translate to")
        return self.tokenizer.encode(texts, truncation=truncation, src_lang=source)
