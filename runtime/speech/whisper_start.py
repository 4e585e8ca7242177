"""The tokens that Whisper's text begins with: language, task, no timestamps, and what was said before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import OptionError
from .options import SpeechOptions
from .whisper_languages import language_id
from .whisper_settings import WhisperSettings
from .whisper_text import WhisperVocabulary

TASKS = ("transcribe", "translate")


def check_task(settings: WhisperSettings, options: SpeechOptions) -> None:
    """Check that the checkpoint has the language and the task that are asked for.

    Raises:
        OptionError: it does not.
    """
    for name in ("language", "task"):
        if getattr(options, name) is not None and settings.multilingual is False:
            raise OptionError(f"{name}={getattr(options, name)!r} is for multilingual models: this one knows English")
    if options.language is not None:
        if settings.languages is None:
            raise OptionError(f"language={options.language!r}: generation_config.json names no languages (lang_to_id)")
        language_id(options.language, settings.languages)
    if options.task is not None:
        if options.task not in TASKS:
            raise OptionError(f"task must be one of {TASKS}, not {options.task!r}")
        if settings.tasks is None or options.task not in settings.tasks:
            raise OptionError(f"task={options.task!r}: generation_config.json does not name it (task_to_id)")


def first_tokens(settings: WhisperSettings, options: SpeechOptions, timestamps: bool) -> list[int | None]:
    """What a window's text begins with; None in the place of a language that has to be found out.

    Args:
        settings: the checkpoint's.
        options: the call's, checked.
        timestamps: whether the text has timestamps.

    Raises:
        OptionError: the checkpoint's own first tokens are not numbered from 1.
    """
    language = options.language or settings.defaults.get("language")
    task = options.task or settings.defaults.get("task")
    tokens: list[int | None] = [settings.start]
    if language is None and task is None and settings.forced and settings.forced[0][0] == 1:
        if [place for place, _ in settings.forced] != list(range(1, len(settings.forced) + 1)):
            raise OptionError(f"forced_decoder_ids of the checkpoint are not numbered from 1: {settings.forced}")
        tokens += [token for _, token in settings.forced]
    detect = settings.languages is not None and (len(tokens) == 1 or tokens[1] is None)
    if language is not None:
        tokens[1:2] = [language_id(language, settings.languages or {})]
    elif detect and len(tokens) == 1:
        tokens.append(None)
    if task is not None:
        tokens.append((settings.tasks or {})[task])
    elif language is not None and settings.tasks and not set(settings.tasks.values()) & set(tokens):
        tokens.append(settings.tasks["transcribe"])
    if not timestamps and settings.no_timestamps is not None and tokens[-1] != settings.no_timestamps:
        tokens.append(settings.no_timestamps)
    elif timestamps and tokens[-1] == settings.no_timestamps:
        tokens.pop()
    return tokens if detect else [token for token in tokens if token is not None]


def prompt_tokens(vocabulary: WhisperVocabulary, options: SpeechOptions) -> list[int] | None:
    """The tokens of the prompt, which <|startofprev|> begins; None where there is none.

    Raises:
        OptionError: the prompt has a special token, or the vocabulary no token for a prompt's begin.
    """
    if options.prompt_ids is not None:
        return [int(token) for token in np.asarray(options.prompt_ids)]
    if options.prompt is None:
        return None
    if vocabulary.previous is None:
        raise OptionError("the vocabulary has no <|startofprev|>: give the prompt as prompt_ids")
    tokens = vocabulary.encode(" " + options.prompt.strip())
    if special := [token for token in tokens if token in vocabulary.special or token >= vocabulary.timestamps_from]:
        raise OptionError(f"prompt={options.prompt!r:.80} holds the special token {special[0]}, which no text may")
    return [vocabulary.previous, *tokens]


def continued(before: Sequence[Sequence[int]], first: Sequence[int], settings: WhisperSettings) -> list[int]:
    """The end of what was said before, as much as half of the decoder's positions hold.

    Args:
        before: the tokens of earlier segments.
        first: what precedes them, which is not cut: <|startofprev|> or a prompt.
        settings: the checkpoint's.
    """
    tokens: list[int] = []
    for segment in before:
        # The last of two timestamps begins the next segment.
        doubled = len(segment) > 2 and segment[-2] >= settings.timestamps_from
        tokens += segment[:-1] if doubled else segment
    return [*first, *tokens[-(settings.positions // 2 - 1) :]]
