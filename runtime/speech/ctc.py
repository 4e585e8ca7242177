"""Speech recognition with CTC models: Wav2Vec2, HuBERT, WavLM and their kin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..errors import InputError, OptionError, TaskError
from ..session import Array
from .chunks import Chunk, ChunkSizes, Clip, chunk_sizes, cut, kept_frames
from .ctc_batches import batches, windows
from .ctc_collapse import Emission
from .ctc_frames import Frames
from .ctc_transcript import BestPath, BestPrefix, Transcript
from .ctc_vocabulary import CtcVocabulary

if TYPE_CHECKING:
    from .options import SpeechOptions


class CtcRecognizer:
    """Clips to texts by a model that names a token for each frame.

    Args:
        bundle: its graph ``model`` takes ``input_values (batch, samples)``, and ``attention_mask (batch, samples)``
            where the checkpoint was trained with one, and gives ``logits (batch, frames, vocab)``.

    Raises:
        TaskError: the graph is another one.
        BundleError: the vocabulary, the configuration or the feature extractor's is missing or malformed.

    Example:
        >>> recognizer = CtcRecognizer(Bundle.open("models/wav2vec2"))      # doctest: +SKIP
        >>> next(recognizer.recognize([Clip(samples)], SpeechOptions(return_timestamps="word"), None))  # doctest: +SKIP
        {'text': 'HI', 'chunks': [{'text': 'HI', 'timestamp': (0.06, 0.14)}]}
    """

    def __init__(self, bundle: Bundle) -> None:
        self._session = bundle.session("model")
        found = {spec.name: len(spec.shape) for spec in self._session.outputs}
        if found.get("logits") != 3:
            raise TaskError(
                "speech recognition needs a graph with the output logits (batch, frames, vocab); "
                f"that of {bundle.folder} has {found} (name: dimensions)"
            )
        self._extractor = bundle.feature_extractor
        self._frames = Frames.of(bundle.config)
        self._vocabulary = CtcVocabulary(bundle.folder)
        self._masked = any(spec.name == "attention_mask" for spec in self._session.inputs)

    def recognize(
        self, clips: Iterable[Clip], options: SpeechOptions, batch_size: int | None
    ) -> Iterator[dict[str, Any]]:
        """The texts of clips, in order; clips are read only a little ahead.

        Args:
            clips: float32 samples at the model's rate. Of one with a stride only the middle is written down.
            options: ``return_timestamps``, ``chunk_length_s``, ``stride_length_s`` and ``beam_width`` count here.
            batch_size: chunks that run together at the most; None bounds their samples.

        Returns:
            Per clip ``{"text": str}``, and ``"chunks": [{"text", "timestamp": (start, end)}]`` by character or word,
            in seconds of the clip.

        Raises:
            InputError: a clip is too short to give a frame, or has a stride and is to be cut.
            OptionError: timestamps of another kind, or strides that leave nothing of a chunk.
        """
        self.check(options)
        sizes = None
        if options.chunk_length_s:
            rate, ratio = self._extractor.sampling_rate, self._frames.ratio
            sizes = chunk_sizes(options.chunk_length_s, options.stride_length_s, rate, align_to=ratio)
        transcript = self._transcript(options)
        for window in windows(self._chunks(clips, sizes), batch_size):
            for chunk, read in zip(window, self._read(window, batch_size, transcript.read), strict=True):
                transcript.add(read)
                if chunk.last:
                    yield self._answer(transcript.emissions(), options)
                    transcript = self._transcript(options)

    def check(self, options: SpeechOptions) -> None:
        """Check what can be told without sound.

        Raises:
            OptionError: timestamps of another kind than a CTC model has.
        """
        if options.return_timestamps is True:
            raise OptionError(
                "a CTC model tells times of characters or of words: set return_timestamps='char' or 'word', not True"
            )
        if options.return_timestamps == "word":
            self._vocabulary.words([])

    def _chunks(self, clips: Iterable[Clip], sizes: ChunkSizes | None) -> Iterator[Chunk]:
        """The chunks of all clips.

        Raises:
            InputError: a clip is too short to give a frame.
        """
        for clip in clips:
            if len(clip.samples) < self._frames.minimum:
                raise InputError(
                    f"a clip of {len(clip.samples)} samples is too short: the model needs {self._frames.minimum} "
                    f"({self._frames.minimum / self._extractor.sampling_rate:g} s) to hear anything"
                )
            yield from cut(clip, sizes)

    def _read(self, window: Sequence[Chunk], batch_size: int | None, read: Callable[[Array], Any]) -> list[Any]:
        """What is kept of the logits of each chunk's own frames, without those that are context."""
        # The last chunk of a clip may be too short to give a frame.
        lengths = [max(len(chunk.samples), self._frames.minimum) for chunk in window]
        padded = self._frames.padded and self._masked and self._extractor.masked
        found: list[Any] = [None] * len(window)
        for batch in batches(lengths, batch_size, padded):
            logits = self._logits([_extended(window[index].samples, lengths[index]) for index in batch])
            for place, index in enumerate(batch):
                samples, stride = len(window[index].samples), window[index].stride
                own = logits[place, : self._frames.count(samples)]
                found[index] = read(own if stride is None else own[kept_frames(samples, stride, self._frames.ratio)])
        return found

    def _logits(self, clips: list[NDArray[np.float32]]) -> Array:
        """The logits of a batch, ``(batch, frames, vocab)``."""
        features = self._extractor(clips)
        if self._masked and "attention_mask" not in features:  # all of one length
            features["attention_mask"] = np.ones(features[self._extractor.input_name].shape, dtype=np.int64)
        return self._session.run(features, ["logits"])["logits"]

    def _transcript(self, options: SpeechOptions) -> Transcript[Any]:
        if options.beam_width is None or options.beam_width == 1:
            return BestPath(self._vocabulary)
        return BestPrefix(self._vocabulary, options.beam_width)

    def _answer(self, emissions: list[Emission], options: SpeechOptions) -> dict[str, Any]:
        characters = self._vocabulary.characters(emissions)
        answer: dict[str, Any] = {"text": self._vocabulary.text(characters)}
        if options.return_timestamps:
            words = options.return_timestamps == "word"
            answer["chunks"] = [
                {"text": text, "timestamp": (self._seconds(start), self._seconds(end))}
                for text, start, end in (self._vocabulary.words(characters) if words else characters)
            ]
        return answer

    def _seconds(self, frame: int) -> float:
        seconds: float = frame * self._frames.ratio / self._extractor.sampling_rate
        return seconds


def _extended(samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    return samples if len(samples) == length else np.pad(samples, (0, length - len(samples)))
