"""What comes next in a text? ``python -m examples.task_summary.causal_language_modeling [--hub]``."""

from __future__ import annotations

from torchless import Bundle, pipeline, softmax, top_k

from .models import open_bundle

TEXT = "Once upon a time there was a little"


def with_pipeline(bundle: Bundle) -> None:
    """The five most probable next tokens; their probabilities sum to 1."""
    for follower in pipeline("next-token", bundle, top_k=5)(TEXT):
        print(f"{TEXT}...{follower['token_str']!r} (token {follower['token']}, {follower['score']:.4f})")


def with_parts(bundle: Bundle) -> None:
    """The logits after the last token, among the whole vocabulary."""
    tokens = bundle.tokenizer(TEXT)["input_ids"]  # (1, length)
    logits = bundle.generator().new_cache(rows=1, capacity=tokens.shape[1]).prefill(tokens)  # (1, vocab)
    probabilities = softmax(logits[0])
    for token in top_k(probabilities, 5):
        print(f"{TEXT}...{bundle.tokenizer.decode([token])!r} ({probabilities[token]:.4f})")


if __name__ == "__main__":
    opened = open_bundle("causal_language_modeling")
    with_pipeline(opened)
    with_parts(opened)
