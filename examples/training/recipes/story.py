"""Stories that go on as they began, with a small Llama."""

import math
from random import Random

import torch
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    set_seed,
)

from ..data import story
from ..evaluate import Metrics, generated, outputs
from ..init import mimetic_causal
from ..loop import Features, train
from ..vocab import llama_bpe

STEPS = 2400
HELD_OUT = 500
LONGEST = 256
SEEN = 3  # stages of a story that a prompt holds


def features(tokenizer: PreTrainedTokenizerFast, stories: list[story.Story]) -> list[Features]:
    """Encode the stories, each with its end."""
    rows: list[Features] = []
    for ids in tokenizer([s.text for s in stories])["input_ids"]:
        ids = [*ids, tokenizer.eos_token_id]
        rows.append({"input_ids": ids, "attention_mask": [1] * len(ids), "labels": ids})
    return rows


def focused(
    rng: Random, tokenizer: PreTrainedTokenizerFast, stories: list[story.Story], share: float
) -> list[Features]:
    """The same, learning from all tokens that repeat a fact, but only from a share of the others.

    Those are mostly chance, whose noise would drown what can be learned of facts.
    """
    rows = features(tokenizer, stories)
    offsets = tokenizer([s.text for s in stories], return_offsets_mapping=True)["offset_mapping"]
    for row, spans, told in zip(rows, offsets, stories, strict=True):
        known = [any(start < b and a < end for a, b in told.facts) for start, end in spans]
        kept = [fact or rng.random() < share for fact in [*known, False]]
        row["labels"] = [
            token if keep else -100
            for token, keep in zip(row["input_ids"], kept, strict=True)  # type: ignore[arg-type]
        ]
    return rows


def build() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Train the tokenizer and the model."""
    set_seed(0)
    tokenizer = llama_bpe([s.text for s in story.make(Random(0), 5_000)], 1500)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=384,
        max_position_embeddings=LONGEST,
        initializer_range=0.05,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    mimetic_causal(model.model)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_length=LONGEST,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )

    def make_features(rng: Random, count: int, progress: float) -> list[Features]:
        return focused(rng, tokenizer, story.make(rng, count), share=0.15 + 2 * max(0.0, progress - 0.5))

    train(model, make_features, steps=STEPS, batch_size=16, learning_rate=3e-3, half=False)
    return model, tokenizer


def evaluate(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Metrics:
    """Perplexity of held-out stories, and how many that the model ends are whole and free of contradictions."""
    stories = story.make(Random(1), HELD_OUT, "test")
    prompts = [s.opening(SEEN) for s in stories]
    torch.manual_seed(0)
    metrics: Metrics = {"perplexity": perplexity(model, features(tokenizer, stories))}
    for name, options in (("greedy", {"do_sample": False}), ("sampled", {"do_sample": True, "top_k": 0})):
        texts = generated(model, tokenizer, prompts, **options)
        metrics[f"consistent_{name}"] = sum(story.read(t) is not None for t in texts) / HELD_OUT
    return metrics | {"examples": HELD_OUT}


def perplexity(model: PreTrainedModel, rows: list[Features]) -> float:
    """The exponential of the mean negative log-likelihood of a token, the first excepted."""
    total, count = 0.0, 0
    for (logits,), row in zip(outputs(model, rows, "logits"), rows, strict=True):
        ids = torch.tensor(row["input_ids"])
        losses = torch.nn.functional.cross_entropy(logits[: len(ids) - 1], ids[1:], reduction="sum")
        total, count = total + float(losses), count + len(ids) - 1
    return math.exp(total / count)
