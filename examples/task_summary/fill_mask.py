"""Fill the gap in a text: ``python -m examples.task_summary.fill_mask [--hub]``."""

from __future__ import annotations

from torchless import Bundle, pipeline, top_k

from .models import open_bundle

TEXT = "The capital of France is {}."


def with_pipeline(bundle: Bundle) -> None:
    """The five best fillings."""
    text = TEXT.format(bundle.tokenizer.tokens["mask"])
    for filling in pipeline("fill-mask", bundle)(text):
        print(f"{filling['sequence']} ({filling['token_str']!r}, token {filling['token']}, {filling['score']:.4f})")


def with_parts(bundle: Bundle) -> None:
    """The logits at the mask's position, best first."""
    tokenizer = bundle.tokenizer
    mask = tokenizer.tokens["mask"]
    batch = tokenizer(TEXT.format(mask))
    position = batch["input_ids"][0].tolist().index(tokenizer.ids["mask"])
    logits = bundle.session("model").run(batch)["logits"][0, position]  # (vocab,)
    for token in top_k(logits, 5):
        print(TEXT.format(tokenizer.decode([token]).strip()))


if __name__ == "__main__":
    opened = open_bundle("fill_mask")
    with_pipeline(opened)
    with_parts(opened)
