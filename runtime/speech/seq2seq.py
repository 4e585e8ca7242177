"""Speech recognition with encoder-decoders that hear a recording as a whole, such as Moonshine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..bundle import Bundle
from ..errors import OptionError
from ..generation.config import GenerationConfig
from .chunks import Clip
from .options import SpeechOptions

# What only Whisper has.
_WHISPER = (
    "language", "task", "prompt_ids", "prompt", "prompt_condition_type", "condition_on_prev_tokens",
    "compression_ratio_threshold", "logprob_threshold", "no_speech_threshold", "num_segment_frames", "return_language",
)  # fmt: skip


class Seq2SeqRecognizer:
    """Clips to texts, one clip at a time.

    Args:
        bundle: its encoder takes what its feature extractor gives.

    Example:
        >>> recognizer = Seq2SeqRecognizer(Bundle.open("models/moonshine-tiny"))      # doctest: +SKIP
        >>> next(recognizer.recognize([Clip(samples)], SpeechOptions(), None))      # doctest: +SKIP
        {'text': 'Good morning.'}
    """

    def __init__(self, bundle: Bundle) -> None:
        self._extractor = bundle.feature_extractor
        self._generator = bundle.generator()
        self._tokenizer = bundle.tokenizer

    def check(self, options: SpeechOptions) -> None:
        """Check that nothing is asked for that only CTC models or Whisper can tell.

        Raises:
            OptionError: something is.
        """
        if options.return_timestamps:
            raise OptionError("return_timestamps: only CTC models and Whisper know when something was said")
        if options.chunked:
            raise OptionError("chunk_length_s: texts of chunks can only be joined for CTC models and Whisper")
        for name in _WHISPER:
            if getattr(options, name) is not None:
                raise OptionError(f"{name} is for Whisper, which this model is not")
        if len(options.temperatures) > 1:
            raise OptionError("several temperatures are for Whisper, whose segments are tried again")
        config = self._config(options)
        if config.num_return_sequences > 1:
            raise OptionError(f"num_return_sequences={config.num_return_sequences}: a recording has one text")

    def recognize(
        self, clips: Iterable[Clip], options: SpeechOptions, batch_size: int | None
    ) -> Iterator[dict[str, Any]]:
        """The texts of clips, in order.

        Args:
            clips: recordings at the model's rate.
            options: checked by :meth:`check`.
            batch_size: not more than one clip is ever decoded at once, as the padding of shorter ones would be heard.

        Raises:
            OptionError: a clip has a stride, which only texts with timestamps can be cut by.
        """
        config = self._config(options)
        for clip in clips:
            if clip.stride is not None:
                raise OptionError("a clip with a stride is for CTC models and Whisper")
            encoded = self._generator.encode(features=self._extractor([clip.samples]))
            output = self._generator.generate(encoded=encoded, generation_config=config, seed=options.seed)
            yield {"text": self._tokenizer.decode(output.sequences[0], skip_special_tokens=True)}

    def _config(self, options: SpeechOptions) -> GenerationConfig:
        config = options.generation_config or GenerationConfig()
        (temperature,) = options.temperatures[:1]
        return config if temperature is None else config.replace(temperature=float(temperature))
