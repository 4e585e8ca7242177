"""What a Whisper checkpoint says of itself: its special tokens, languages, windows, and defaults of its own options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..bundle import Bundle
from ..errors import BundleError
from ..files import read_json

# Names that generation_config.json may have beside those of every model.
_OWN = (
    "no_timestamps_token_id", "max_initial_timestamp_index", "prev_sot_token_id", "forced_decoder_ids", "lang_to_id",
    "task_to_id", "is_multilingual", "alignment_heads", "return_timestamps", "language", "task",
    "condition_on_prev_tokens", "compression_ratio_threshold", "logprob_threshold", "no_speech_threshold",
)  # fmt: skip


@dataclass(frozen=True)
class WhisperSettings:
    """A checkpoint's numbers; None where it does not say.

    Attributes:
        start: the token <|startoftranscript|>.
        end: the end-of-sequence token.
        pad: the padding token.
        vocabulary: tokens.
        positions: tokens that the decoder has positions for.
        frames: feature frames of one window, which the encoder halves.
        median_width: of the filter that smooths attention before words are aligned.
        no_timestamps: the token <|notimestamps|>, behind which those of times begin.
        last_first_timestamp: the latest first timestamp of a window, as a number of steps of 20 ms.
        previous: the token <|startofprev|>.
        languages: token to id; None for a model of one language, or an old checkpoint.
        tasks: name to id.
        multilingual: whether there are languages; None where an old checkpoint does not tell.
        heads: (layer, head) of the cross-attention that follows the words.
        forced: old checkpoints' (position, token) of the first tokens.
        defaults: the checkpoint's own values of the options that are called so.
    """

    start: int
    end: int
    pad: int
    vocabulary: int
    positions: int
    frames: int
    median_width: int
    no_timestamps: int | None = None
    last_first_timestamp: int | None = None
    previous: int | None = None
    languages: Mapping[str, int] | None = None
    tasks: Mapping[str, int] | None = None
    multilingual: bool | None = None
    heads: tuple[tuple[int, int], ...] | None = None
    forced: tuple[tuple[int, int | None], ...] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, bundle: Bundle) -> WhisperSettings:
        """The settings in a bundle's ``config.json`` and ``generation_config.json``.

        Raises:
            BundleError: one that is needed is missing, or one is malformed.
        """
        config = bundle.config
        found = read_json(bundle.folder / "generation_config.json")
        if found is None:  # old checkpoints have them in config.json
            found = {name: config[name] for name in _OWN if name in config}
        found = {name: value for name, value in found.items() if value is not None}
        merged = {**{name: value for name, value in config.items() if value is not None}, **found}
        suppressed: Any = found.get("suppress_tokens") or ()
        previous = found.get("prev_sot_token_id")
        if previous is None and len(suppressed) >= 2:
            previous = suppressed[-2]  # it has always been the last but one of those that no text holds
        try:
            end = merged["eos_token_id"]
            end = int(end[0] if isinstance(end, list) else end)
            heads, forced = found.get("alignment_heads"), merged.get("forced_decoder_ids")
            return cls(
                start=int(merged["decoder_start_token_id"]),
                end=end,
                pad=int(merged.get("pad_token_id", end)),
                vocabulary=int(config["vocab_size"]),
                positions=int(config["max_target_positions"]),
                frames=2 * int(config["max_source_positions"]),
                median_width=int(config.get("median_filter_width", 7)),
                no_timestamps=found.get("no_timestamps_token_id"),
                last_first_timestamp=found.get("max_initial_timestamp_index"),
                previous=previous,
                languages=found.get("lang_to_id"),
                tasks=found.get("task_to_id"),
                multilingual=found.get("is_multilingual"),
                heads=None if heads is None else tuple((int(layer), int(head)) for layer, head in heads),
                forced=None if not forced else tuple((int(place), token) for place, token in forced),
                defaults={name: found[name] for name in _OWN if name in found},
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise BundleError(
                f"{bundle.folder}/config.json and generation_config.json do not describe a Whisper model: {error!r}"
            ) from error

    @property
    def timestamps_from(self) -> int:
        """The first token that is a time; one beyond the vocabulary where the checkpoint knows none."""
        return self.vocabulary + 1 if self.no_timestamps is None else self.no_timestamps + 1
