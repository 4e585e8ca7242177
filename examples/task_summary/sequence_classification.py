"""Is a text positive or negative? ``python -m examples.task_summary.sequence_classification [--hub]``."""

from __future__ import annotations

from torchless import Bundle, pipeline, softmax

from .models import open_bundle

TEXTS = ["I hate you", "I love you", "We are very happy to show you the 🤗 Transformers library."]


def with_pipeline(bundle: Bundle) -> None:
    """One call."""
    classify = pipeline("text-classification", bundle)
    for text, answer in zip(TEXTS, classify(TEXTS), strict=True):
        print(f"{text}: {answer['label']}, with score {answer['score']:.4f}")


def with_parts(bundle: Bundle) -> None:
    """Tokenizer, session, softmax."""
    batch = bundle.tokenizer(TEXTS)
    logits = bundle.session("model").run(batch)["logits"]  # (texts, labels)
    for text, scores in zip(TEXTS, softmax(logits), strict=True):
        best = int(scores.argmax())
        print(f"{text}: {bundle.config['id2label'][str(best)]}, with score {scores[best]:.4f}")


if __name__ == "__main__":
    opened = open_bundle("sequence_classification")
    with_pipeline(opened)
    with_parts(opened)
