"""Does one text say what another says? ``python -m examples.task_summary.paraphrase [--hub]``."""

from __future__ import annotations

from torchless import Bundle, pipeline, softmax

from .models import open_bundle

FIRST = "The company HuggingFace is based in New York City"
OTHERS = ["HuggingFace's headquarters are situated in Manhattan", "Apples are especially bad for your health"]


def with_pipeline(bundle: Bundle) -> None:
    """Pairs are dictionaries; ``top_k=None`` gives every label."""
    classify = pipeline("text-classification", bundle, top_k=None)
    for other, answer in zip(OTHERS, classify([{"text": FIRST, "text_pair": other} for other in OTHERS]), strict=True):
        print(f"{other}: " + ", ".join(f"{label['label']} {label['score']:.0%}" for label in answer))


def with_parts(bundle: Bundle) -> None:
    """Pairs are tuples."""
    batch = bundle.tokenizer([(FIRST, other) for other in OTHERS])
    for other, scores in zip(OTHERS, softmax(bundle.session("model").run(batch)["logits"]), strict=True):
        print(
            f"{other}: " + ", ".join(f"{name} {score:.0%}" for name, score in zip(bundle.labels, scores, strict=True))
        )


if __name__ == "__main__":
    opened = open_bundle("paraphrase")
    with_pipeline(opened)
    with_parts(opened)
