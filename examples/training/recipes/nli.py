"""Natural language inference, and with it zero-shot classification, with BERT."""

from random import Random

from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    set_seed,
)

from ..data import nli
from ..evaluate import Metrics, accuracy, outputs
from ..init import cooccurrence, mimetic
from ..loop import Features, train
from ..vocab import wordpiece

STEPS = 3000
HELD_OUT = 1000


def features(tokenizer: PreTrainedTokenizerFast, examples: list[nli.Example]) -> list[Features]:
    """Encode the pairs with their labels."""
    encoding = tokenizer(
        [e.premise for e in examples], [e.hypothesis for e in examples], truncation=True, max_length=512
    )
    rows = [{key: values[index] for key, values in encoding.items()} for index in range(len(examples))]
    return [row | {"labels": example.label} for row, example in zip(rows, examples, strict=True)]


def build() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Train the tokenizer and the model."""
    set_seed(0)
    examples = nli.make_pairs(Random(0), 20_000) + nli.make_topics(Random(0), 30_000)
    tokenizer = wordpiece([f"{e.premise} {e.hypothesis}" for e in examples], 3000, lowercase=True)
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
        id2label=dict(enumerate(nli.LABELS)),
        label2id={label: index for index, label in enumerate(nli.LABELS)},
    )
    model = BertForSequenceClassification(config)
    mimetic(model.bert)
    related = [f"{e.premise} {e.hypothesis}" for e in examples if e.label == nli.ENTAILMENT]
    cooccurrence(model.bert, tokenizer(related, add_special_tokens=False)["input_ids"])

    def make_features(rng: Random, count: int, progress: float) -> list[Features]:
        pairs = nli.make_pairs(rng, count // 2) + nli.make_topics(rng, count - count // 2)
        return features(tokenizer, pairs)

    train(model, make_features, steps=STEPS)
    return model, tokenizer


def evaluate(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Metrics:
    """Accuracy on held-out pairs of phrasings, and on topics in held-out sentence frames."""
    metrics: Metrics = {}
    for name, make in (("pairs", nli.make_pairs), ("topics", nli.make_topics)):
        examples = make(Random(1), HELD_OUT, "test")
        predicted = [int(logits.argmax()) for (logits,) in outputs(model, features(tokenizer, examples), "logits")]
        metrics[f"accuracy_{name}"] = accuracy(predicted, [e.label for e in examples])
        metrics[f"examples_{name}"] = HELD_OUT
    return metrics
