"""Summaries of short news with BART."""

from random import Random

from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    set_seed,
)

from ..data import news
from ..evaluate import Metrics, accuracy, generated, rouge_l
from ..init import mimetic_pair
from ..loop import Features, train
from ..vocab import byte_level_bpe

STEPS = 3000
HELD_OUT = 500
LONGEST = 256


def features(tokenizer: PreTrainedTokenizerFast, examples: list[news.Example]) -> list[Features]:
    """Encode the texts and their summaries."""
    inputs, labels = tokenizer([e.text for e in examples]), tokenizer([e.summary for e in examples])
    return [
        {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": label}
        for ids, label in zip(inputs["input_ids"], labels["input_ids"], strict=True)
    ]


def build() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Train the tokenizer and the model."""
    set_seed(0)
    texts = [f"{e.text} {e.summary}" for e in news.make(Random(0), 10_000)]
    tokenizer = byte_level_bpe(texts, 1600)
    tokenizer.model_max_length = LONGEST
    special = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": tokenizer.eos_token_id,
        "forced_bos_token_id": tokenizer.bos_token_id,
        "forced_eos_token_id": tokenizer.eos_token_id,
    }
    config = BartConfig(
        vocab_size=len(tokenizer),
        d_model=128,
        encoder_layers=3,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=256,
        decoder_ffn_dim=256,
        max_position_embeddings=LONGEST,
        init_std=0.05,
        dropout=0.0,
        **special,
    )
    model = BartForConditionalGeneration(config)
    mimetic_pair(model.model)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_length=64, num_beams=4, early_stopping=True, length_penalty=2.0, **special
    )

    def make_features(rng: Random, count: int, progress: float) -> list[Features]:
        return features(tokenizer, news.make(rng, count))

    train(model, make_features, steps=STEPS, batch_size=40, learning_rate=1.5e-3, half=False)
    return model, tokenizer


def evaluate(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Metrics:
    """Exact match and ROUGE-L of summaries of news with names and combinations of wordings that are new."""
    examples = news.make(Random(1), HELD_OUT, "test")
    answers = generated(model, tokenizer, [e.text for e in examples])
    targets = [e.summary for e in examples]
    return {
        "exact_match": accuracy(answers, targets),
        "rouge_l": sum(map(rouge_l, answers, targets)) / HELD_OUT,
        "examples": HELD_OUT,
    }
