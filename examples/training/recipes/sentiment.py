"""Sentiment classification with DistilBERT."""

from random import Random

from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    set_seed,
)

from ..data import sentiment
from ..evaluate import Metrics, accuracy, outputs
from ..loop import Features, train
from ..vocab import wordpiece

STEPS = 3000
HELD_OUT = 2000


def features(tokenizer: PreTrainedTokenizerFast, examples: list[sentiment.Example]) -> list[Features]:
    """Encode the texts with their labels."""
    encoding = tokenizer([e.text for e in examples], truncation=True, max_length=512)
    return [
        {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": example.label}
        for ids, example in zip(encoding["input_ids"], examples, strict=True)
    ]


def build() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Train the tokenizer and the model."""
    set_seed(0)
    tokenizer = wordpiece([e.text for e in sentiment.make(Random(0), 40_000)], 3500, lowercase=True)
    config = DistilBertConfig(
        vocab_size=len(tokenizer),
        dim=128,
        n_layers=2,
        n_heads=4,
        hidden_dim=384,
        max_position_embeddings=512,
        initializer_range=0.05,
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(sentiment.LABELS)),
        label2id={label: index for index, label in enumerate(sentiment.LABELS)},
    )
    model = DistilBertForSequenceClassification(config)

    def make_features(rng: Random, count: int, progress: float) -> list[Features]:
        return features(tokenizer, sentiment.make(rng, count))

    train(model, make_features, steps=STEPS)
    return model, tokenizer


def evaluate(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Metrics:
    """Accuracy on texts from held-out templates."""
    examples = sentiment.make(Random(1), HELD_OUT, "test")
    predicted = [int(logits.argmax()) for (logits,) in outputs(model, features(tokenizer, examples), "logits")]
    return {"accuracy": accuracy(predicted, [e.label for e in examples]), "examples": HELD_OUT}
