"""What is said? ``python -m examples.task_summary.speech_recognition [--hub]``."""

from __future__ import annotations

import json
from itertools import groupby

from examples.samples import INPUTS
from torchless import Bundle, pipeline
from torchless.audio import load_audio

from .models import open_bundle

FILES = [INPUTS / f"sentence-{number}.wav" for number in (1, 2, 3)]


def with_pipeline(bundle: Bundle) -> None:
    """The texts, then when the words of one were said."""
    transcribe = pipeline("automatic-speech-recognition", bundle)
    for file, answer in zip(FILES, transcribe(FILES), strict=True):
        print(f"{file.name}: {answer['text']}")
    for word in transcribe(FILES[0], return_timestamps="word")["chunks"]:
        print(f"{word['timestamp'][0]:.2f}-{word['timestamp'][1]:.2f} s: {word['text']}")


def with_parts(bundle: Bundle) -> None:
    """The best character of every frame; equal neighbours are one, and the padding token between them is none."""
    extractor = bundle.feature_extractor
    vocabulary = json.loads((bundle.folder / "vocab.json").read_text(encoding="utf-8"))
    characters = {index: character for character, index in vocabulary.items()}
    for file in FILES:
        batch = extractor([load_audio(file, extractor.sampling_rate)])
        best = bundle.session("model").run(batch)["logits"][0].argmax(axis=-1)  # (frames,)
        text = "".join(characters[int(token)] for token, _ in groupby(best) if token != bundle.config["pad_token_id"])
        print(f"{file.name}: {text.replace('|', ' ').strip()}")


if __name__ == "__main__":
    opened = open_bundle("speech_recognition")
    with_pipeline(opened)
    with_parts(opened)
