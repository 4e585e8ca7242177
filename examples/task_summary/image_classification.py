"""What is in a picture? ``python -m examples.task_summary.image_classification [--hub]``."""

from __future__ import annotations

from examples.samples import INPUTS
from torchless import Bundle, pipeline, softmax, top_k
from torchless.vision import load_image

from .models import open_bundle

FILES = [INPUTS / "red-circle.png", INPUTS / "blue-cross.png"]  # the second one has an alpha channel


def with_pipeline(bundle: Bundle) -> None:
    """Pictures of any size and mode."""
    look = pipeline("image-classification", bundle, top_k=3)
    for file, answer in zip(FILES, look(FILES), strict=True):
        print(f"{file.name}: " + ", ".join(f"{label['label']} {label['score']:.4f}" for label in answer))


def with_parts(bundle: Bundle) -> None:
    """Pixels resized and scaled, logits, and a softmax over the labels."""
    pixels = bundle.image_processor([load_image(file) for file in FILES])
    for file, scores in zip(FILES, softmax(bundle.session("model").run(pixels)["logits"]), strict=True):
        best = top_k(scores, 3)
        print(f"{file.name}: " + ", ".join(f"{bundle.labels[label]} {scores[label]:.4f}" for label in best))


if __name__ == "__main__":
    opened = open_bundle("image_classification")
    with_pipeline(opened)
    with_parts(opened)
