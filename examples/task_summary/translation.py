"""Say it in German: ``python -m examples.task_summary.translation [--hub]``."""

from __future__ import annotations

from torchless import Bundle, pipeline

from .models import open_bundle

TEXTS = ["The old woman bought three red apples yesterday.", "Every morning she drinks hot coffee in the kitchen."]


def with_pipeline(bundle: Bundle) -> None:
    """The name of the task says which languages; the checkpoint's configuration has the prefix that belongs to it."""
    translate = pipeline("translation_en_to_de", bundle)
    for text, answer in zip(TEXTS, translate(TEXTS), strict=True):
        print(f"{text} -> {answer['translation_text']}")


def with_parts(bundle: Bundle) -> None:
    """The prefix written out, both texts at once, and the library's own beam search on token ids."""
    batch = bundle.tokenizer([f"translate English to German: {text}" for text in TEXTS])
    generator = bundle.generator()
    found = generator.generate(batch["input_ids"], batch["attention_mask"], num_beams=4, max_new_tokens=40)
    for text, tokens in zip(TEXTS, found.sequences, strict=True):
        print(f"{text} -> {bundle.tokenizer.decode(tokens, skip_special_tokens=True)}")


if __name__ == "__main__":
    opened = open_bundle("translation")
    with_pipeline(opened)
    with_parts(opened)
