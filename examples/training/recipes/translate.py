"""Translation between English and German, both ways, with T5."""

from random import Random

from transformers import (
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
    set_seed,
)

from ..data import translation
from ..data.clauses import Example
from ..evaluate import Metrics, accuracy, chrf, generated
from ..loop import Features, train
from ..vocab import unigram

STEPS = 4500
HELD_OUT = 1000
LONGEST = 64
PREFIXES = {"en_to_de": "translate English to German: ", "de_to_en": "translate German to English: "}


def sides(examples: list[Example], direction: str) -> tuple[list[str], list[str]]:
    """What is translated, with its prefix, and the translations."""
    pairs = [(e.english, e.german) if direction == "en_to_de" else (e.german, e.english) for e in examples]
    return [PREFIXES[direction] + source for source, _ in pairs], [target for _, target in pairs]


def features(tokenizer: PreTrainedTokenizerFast, sources: list[str], targets: list[str]) -> list[Features]:
    """Encode the texts and their translations."""
    inputs, labels = tokenizer(sources), tokenizer(targets)
    return [
        {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": label}
        for ids, label in zip(inputs["input_ids"], labels["input_ids"], strict=True)
    ]


def build() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Train the tokenizer and the model."""
    set_seed(0)
    texts = [text for e in translation.make(Random(0), 20_000) for text in e]
    tokenizer = unigram([*texts, *list(PREFIXES.values()) * 1000], 1500)
    options = {"max_length": LONGEST, "num_beams": 4, "early_stopping": True}
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=128,
        d_kv=32,
        d_ff=256,
        num_layers=3,
        num_decoder_layers=3,
        num_heads=4,
        dropout_rate=0.0,
        relative_attention_num_buckets=32,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config.decoder_start_token_id = config.pad_token_id
    config.task_specific_params = {f"translation_{way}": {**options, "prefix": p} for way, p in PREFIXES.items()}
    model = T5ForConditionalGeneration(config)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_length=LONGEST, pad_token_id=config.pad_token_id, eos_token_id=config.eos_token_id, decoder_start_token_id=0
    )

    def make_features(rng: Random, count: int, progress: float) -> list[Features]:
        examples = translation.make(rng, count)
        there, back = sides(examples[: count // 2], "en_to_de"), sides(examples[count // 2 :], "de_to_en")
        return features(tokenizer, there[0] + back[0], there[1] + back[1])

    train(model, make_features, steps=STEPS, batch_size=64, learning_rate=2e-3, half=False)
    return model, tokenizer


def evaluate(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Metrics:
    """Exact match and chrF of greedy translations of sentences with a pair of words that training never used."""
    examples = translation.make(Random(1), HELD_OUT, "test")
    metrics: Metrics = {}
    for way in PREFIXES:
        sources, targets = sides(examples, way)
        answers = generated(model, tokenizer, sources, num_beams=1, do_sample=False)
        metrics[f"exact_match_{way}"] = accuracy(answers, targets)
        metrics[f"chrf_{way}"] = chrf(answers, targets)
    return metrics | {"examples": HELD_OUT}
