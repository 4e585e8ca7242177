"""Find persons, organizations and places: ``python -m examples.task_summary.named_entities [--hub]``."""

from __future__ import annotations

from torchless import Bundle, pipeline

from .models import open_bundle

TEXT = (
    "Hugging Face Inc. is a company based in New York City. Its headquarters are in DUMBO,\n"
    "therefore very close to the Manhattan Bridge which is visible from the window."
)


def with_pipeline(bundle: Bundle) -> None:
    """Token by token, then grouped."""
    ner = pipeline("ner", bundle)
    for token in ner(TEXT):
        print(token)
    for entity in ner(TEXT, aggregation_strategy="simple"):
        print(entity)


def with_parts(bundle: Bundle) -> None:
    """The best label of every token."""
    batch = bundle.tokenizer(TEXT)
    best = bundle.session("model").run(batch)["logits"][0].argmax(axis=-1)  # (length,)
    print([(token, bundle.labels[label]) for token, label in zip(batch.encodings[0].tokens, best, strict=True)])


if __name__ == "__main__":
    opened = open_bundle("named_entities")
    with_pipeline(opened)
    with_parts(opened)
