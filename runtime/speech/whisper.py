"""Speech recognition with Whisper: windows of 30 seconds, one after the other or in overlapping chunks side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from ..audio.log_mel import LogMelExtractor
from ..bundle import Bundle
from ..errors import BundleError, InputError, OptionError
from .chunks import Chunk, Clip, chunk_sizes, cut
from .options import SpeechOptions
from .whisper_decoding import Wanted, WindowDecoder
from .whisper_recording import Recording
from .whisper_settings import WhisperSettings
from .whisper_start import check_task, first_tokens, prompt_tokens
from .whisper_text import Heard, Transcript, WhisperVocabulary

# Recordings or chunks that are decoded together: the decoder reads its weights once for all of them.
ROWS_PER_BATCH = 8
# Bytes that the keys and values of their windows may take: five windows of whisper-small.
BYTES_PER_BATCH = 512 << 20


class WhisperRecognizer:
    """Clips to texts, as transformers' pipeline and ``WhisperForConditionalGeneration.generate`` of 4.57 make them.

    Every recording is answered as it is alone: those whose windows begin with as many tokens are decoded together.

    Args:
        bundle: its graphs ``encoder_model`` and ``decoder_model`` are those of a Whisper checkpoint.

    Raises:
        BundleError: the configuration, the tokenizer or the feature extractor's is missing or malformed.
        TaskError: the graphs are others.

    Example:
        >>> recognizer = WhisperRecognizer(Bundle.open("models/whisper-tiny"))      # doctest: +SKIP
        >>> next(recognizer.recognize([Clip(samples)], SpeechOptions(language="de"), None))  # doctest: +SKIP
        {'text': ' Guten Tag.'}
    """

    def __init__(self, bundle: Bundle) -> None:
        self.settings = WhisperSettings.read(bundle)
        self.vocabulary = WhisperVocabulary(bundle, self.settings)
        extractor = bundle.feature_extractor
        if not isinstance(extractor, LogMelExtractor):
            raise BundleError(
                f"{bundle.folder}: Whisper needs log-mel features, not those of {type(extractor).__name__}"
            )
        self._extractor = extractor
        self._generator = bundle.generator()
        self._decoder = WindowDecoder(self._generator, self.settings)
        config = bundle.config
        self._window_bytes = 4 * self.settings.frames * int(config["d_model"]) * int(config["decoder_layers"])

    def check(self, options: SpeechOptions) -> None:
        """Check what the checkpoint has to know for the options.

        Raises:
            OptionError: it does not know it, or two options contradict each other.
        """
        check_task(self.settings, options)
        config, frames = options.generation_config, self.settings.frames
        if options.return_timestamps == "char":
            raise OptionError("Whisper tells times of words ('word') or segments (True), not of characters ('char')")
        if options.return_timestamps and self.settings.no_timestamps is None:
            raise OptionError("return_timestamps: generation_config.json names no no_timestamps_token_id")
        if options.return_timestamps == "word" and self.settings.heads is None:
            raise OptionError("return_timestamps='word': generation_config.json names no alignment_heads")
        if options.num_segment_frames not in (None, frames):
            raise OptionError(f"num_segment_frames must be {frames}, the model's own, not {options.num_segment_frames}")
        if options.chunk_length_s and options.chunk_length_s > self._seconds:
            raise OptionError(
                f"chunk_length_s={options.chunk_length_s:g} is more than the {self._seconds:g} s of a window"
            )
        wanted = self._wanted(options, timestamps=False)
        if wanted.silence is not None and wanted.logprob is None:
            raise OptionError("no_speech_threshold needs logprob_threshold: only a window that failed may be silent")
        if options.prompt_condition_type == "all-segments" and not wanted.condition:
            raise OptionError("prompt_condition_type='all-segments' needs condition_on_prev_tokens=True")
        if config is not None:
            if config.num_return_sequences > 1:
                raise OptionError(f"num_return_sequences={config.num_return_sequences}: a recording has one text")
            sampled = any(options.temperatures)
            if "do_sample" in config.explicit and config.do_sample != sampled:
                raise OptionError(f"do_sample={config.do_sample} contradicts temperature={options.temperature}")
        prompt_tokens(self.vocabulary, options)

    def recognize(
        self, clips: Iterable[Clip], options: SpeechOptions, batch_size: int | None
    ) -> Iterator[dict[str, Any]]:
        """The texts of clips, in order; clips are read only a batch ahead.

        Args:
            clips: recordings at the model's rate.
            options: checked by :meth:`check`.
            batch_size: recordings, or chunks of them, that are decoded together; None chooses by the model's size.

        Raises:
            InputError: a recording without samples, or longer than a window where the options do not allow it.
        """
        sizes = None
        if options.chunk_length_s:
            sizes = chunk_sizes(options.chunk_length_s, options.stride_length_s, self._extractor.sampling_rate)
        chunks = (chunk for clip in clips for chunk in cut(clip, sizes))
        transcript = self._transcript(options)
        while batch := list(islice(chunks, batch_size or self._rows(options))):
            for chunk, heard in zip(batch, self._hear(batch, options), strict=True):
                transcript.add(heard)
                if chunk.last:
                    yield transcript.result()
                    transcript = self._transcript(options)

    @property
    def _seconds(self) -> float:
        return self.settings.frames * self._extractor.hop_length / self._extractor.sampling_rate

    def _rows(self, options: SpeechOptions) -> int:
        config = options.generation_config
        if config is not None and config.prompt_lookup_num_tokens is not None:
            return 1
        return max(1, min(ROWS_PER_BATCH, BYTES_PER_BATCH // self._window_bytes))

    def _transcript(self, options: SpeechOptions) -> Transcript:
        timestamps = options.return_timestamps or self.settings.defaults.get("return_timestamps")
        steps = self.settings.frames // 2
        return Transcript(self.vocabulary, timestamps, bool(options.return_language), self._seconds / steps, steps)

    def _wanted(self, options: SpeechOptions, timestamps: bool) -> Wanted:
        def chosen(name: str) -> Any:
            own = getattr(options, name)
            return self.settings.defaults.get(name) if own is None else own

        return Wanted(
            options,
            timestamps,
            ratio=chosen("compression_ratio_threshold"),
            logprob=chosen("logprob_threshold"),
            silence=chosen("no_speech_threshold"),
            condition=bool(chosen("condition_on_prev_tokens")),
        )

    def _timestamps(self, options: SpeechOptions, long: bool) -> bool:
        """Whether the text of a recording has timestamps.

        Raises:
            InputError: it must have them and is not to.
        """
        wanted = bool(options.return_timestamps or self.settings.defaults.get("return_timestamps"))
        if long and not wanted and "return_timestamps" in self.settings.defaults:
            raise InputError(
                f"a recording of more than {self._seconds:g} s is read from timestamp to timestamp: "
                "return_timestamps=True, or chunk_length_s for overlapping chunks without them"
            )
        return wanted or long

    def _hear(self, chunks: Sequence[Chunk], options: SpeechOptions) -> list[Heard]:
        """What is said in chunks, each on its own."""
        recordings = [self._recording(chunk, options) for chunk in chunks]
        first: dict[int, Any] = {}
        if unknown := [recording for recording in recordings if recording.language_unknown]:
            encoded = self._encode(unknown)
            for recording, language in zip(unknown, self._decoder.languages(encoded), strict=True):
                recording.set_language(language)
            if len(unknown) == len(recordings):
                first = {0: encoded}  # the first windows are the same
        while active := [recording for recording in recordings if not recording.done]:
            encoded = first.pop(0, None) or self._encode(active)
            groups: dict[tuple[int, bool, bool], list[int]] = defaultdict(list)
            for row, recording in enumerate(active):
                groups[len(recording.begin()), recording.wanted.timestamps, recording.beams].append(row)
            for rows in groups.values():
                part = encoded if len(rows) == len(active) else encoded.select(rows)
                self._advance([active[row] for row in rows], part)
        return [recording.heard(self.vocabulary) for recording in recordings]

    def _encode(self, recordings: Sequence[Recording]) -> Any:
        windows = np.stack([recording.window() for recording in recordings])
        return self._generator.encode(features={self._extractor.input_name: windows})

    def _advance(self, recordings: Sequence[Recording], encoded: Any) -> None:
        """Decode a window of each recording; all begin with as many tokens."""
        first = np.array([recording.begin() for recording in recordings], dtype=np.int64)
        wanted = recordings[0].wanted
        start = first.shape[1] - len(recordings[0].first)
        attempts = self._decoder.decode(encoded, first, start, wanted, beams=recordings[0].beams)
        times: list[Any] = [None] * len(attempts)
        if wanted.words:
            frames = [recording.sounding for recording in recordings]
            times = self._decoder.times(encoded, first, attempts, frames)
        for recording, attempt, own in zip(recordings, attempts, times, strict=True):
            recording.take(attempt, own)

    def _recording(self, chunk: Chunk, options: SpeechOptions) -> Recording:
        samples, extractor = chunk.samples, self._extractor
        if not len(samples):
            raise InputError("a recording without samples: there is nothing to recognize")
        if len(samples) <= extractor.chunk_samples:
            features = extractor([samples])[extractor.input_name][0]
            sounding = -(-len(samples) // extractor.hop_length)
        else:
            features = extractor.frames(samples)
            sounding = features.shape[1]
        wanted = self._wanted(options, self._timestamps(options, features.shape[1] > self.settings.frames))
        first = first_tokens(self.settings, options, wanted.timestamps)
        prompt = prompt_tokens(self.vocabulary, options)
        stride = None
        if chunk.stride is not None:
            rate = extractor.sampling_rate
            stride = (len(samples) / rate, chunk.stride[0] / rate, chunk.stride[1] / rate)
        return Recording(features, sounding, first, prompt, stride, wanted, self.settings)
