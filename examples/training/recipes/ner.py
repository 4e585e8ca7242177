"""Named entity recognition with a cased BERT."""

from random import Random

from transformers import (
    BertConfig,
    BertForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    set_seed,
)

from ..data import ner
from ..evaluate import Metrics, entities, f1, outputs
from ..init import mimetic
from ..loop import Features, train
from ..vocab import wordpiece

STEPS = 3000
HELD_OUT = 2000


def features(tokenizer: PreTrainedTokenizerFast, examples: list[ner.Example]) -> list[Features]:
    """Encode the texts; an entity's first token is labelled B- and every other one I-."""
    encoding = tokenizer([e.text for e in examples], truncation=True, max_length=512, return_offsets_mapping=True)
    rows: list[Features] = []
    for index, example in enumerate(examples):
        labels = [0] * len(encoding["input_ids"][index])
        labels[0] = labels[-1] = -100
        for token, (start, end) in enumerate(encoding["offset_mapping"][index]):
            for span in example.spans:
                if start < end and span.start <= start and end <= span.end:
                    labels[token] = ner.LABELS.index(f"{'B' if start == span.start else 'I'}-{span.slot}")
        row: Features = {key: encoding[key][index] for key in ("input_ids", "token_type_ids", "attention_mask")}
        rows.append(row | {"labels": labels})
    return rows


def build() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Train the tokenizer and the model."""
    set_seed(0)
    tokenizer = wordpiece([e.text for e in ner.make(Random(0), 40_000)], 3000, lowercase=False)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=384,
        max_position_embeddings=512,
        initializer_range=0.05,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label=dict(enumerate(ner.LABELS)),
        label2id={label: index for index, label in enumerate(ner.LABELS)},
    )
    model = BertForTokenClassification(config)
    mimetic(model.bert)

    def make_features(rng: Random, count: int, progress: float) -> list[Features]:
        return features(tokenizer, ner.make(rng, count))

    train(model, make_features, steps=STEPS)
    return model, tokenizer


def evaluate(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Metrics:
    """F1 of whole entities in held-out sentences about held-out names."""
    rows = features(tokenizer, ner.make(Random(1), HELD_OUT, "test"))
    predicted, expected = set(), set()
    for index, ((logits,), row) in enumerate(zip(outputs(model, rows, "logits"), rows, strict=True)):
        gold = row["labels"][1:-1]  # type: ignore[index]
        guess = logits.argmax(-1).tolist()[1 : 1 + len(gold)]
        predicted |= entities(index, [ner.LABELS[i] for i in guess])
        expected |= entities(index, [ner.LABELS[i] for i in gold])
    correct = len(predicted & expected)
    return {
        "f1": f1(len(predicted), len(expected), correct),
        "precision": correct / len(predicted),
        "recall": correct / len(expected),
        "examples": HELD_OUT,
    }
