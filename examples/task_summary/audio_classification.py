"""Which word is said? ``python -m examples.task_summary.audio_classification [--hub]``."""

from __future__ import annotations

from examples.samples import INPUTS
from torchless import Bundle, pipeline, softmax, top_k
from torchless.audio import load_audio

from .models import open_bundle

FILES = [INPUTS / "word-yes.wav", INPUTS / "word-no.wav"]  # the second one's rate is 8 kHz


def with_pipeline(bundle: Bundle) -> None:
    """Files are read, mixed to one channel and resampled."""
    listen = pipeline("audio-classification", bundle, top_k=3)
    for file, answer in zip(FILES, listen(FILES), strict=True):
        print(f"{file.name}: " + ", ".join(f"{label['label']} {label['score']:.4f}" for label in answer))


def with_parts(bundle: Bundle) -> None:
    """Samples, what the model hears of them, logits."""
    extractor = bundle.feature_extractor
    for file in FILES:
        batch = extractor([load_audio(file, extractor.sampling_rate)])
        scores = softmax(bundle.session("model").run(batch)["logits"][0])  # (labels,)
        best = top_k(scores, 3)
        print(f"{file.name}: " + ", ".join(f"{bundle.labels[label]} {scores[label]:.4f}" for label in best))


if __name__ == "__main__":
    opened = open_bundle("audio_classification")
    with_pipeline(opened)
    with_parts(opened)
