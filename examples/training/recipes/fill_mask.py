"""Masked language modelling with RoBERTa."""

from random import Random

from transformers import PreTrainedModel, PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM, set_seed

from ..data import fill_mask
from ..evaluate import Metrics, accuracy, outputs
from ..loop import Features, train
from ..vocab import byte_level_bpe

STEPS = 2500
RANDOM_MASKS = 0.15


def features(tokenizer: PreTrainedTokenizerFast, examples: list[fill_mask.Example]) -> list[Features]:
    """Encode the sentences with the tokens of their word masked."""
    encoding = tokenizer([e.text for e in examples], truncation=True, max_length=512)
    rows: list[Features] = []
    for index, example in enumerate(examples):
        ids = encoding["input_ids"][index]
        first, last = (
            encoding.char_to_token(index, example.start),
            encoding.char_to_token(index, example.end - 1),
        )
        inside = range(first or 0, (last or 0) + 1)
        labels = [token if position in inside else -100 for position, token in enumerate(ids)]
        masked = [tokenizer.mask_token_id if label >= 0 else token for token, label in zip(ids, labels, strict=True)]
        rows.append({"input_ids": masked, "attention_mask": [1] * len(ids), "labels": labels})
    return rows


def _mask_randomly(rng: Random, tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[Features]:
    """BERT's masking: of the chosen tokens, a tenth is kept and a tenth replaced by a random one."""
    rows: list[Features] = []
    for ids in tokenizer(texts, truncation=True, max_length=512)["input_ids"]:
        chosen = [rng.random() < RANDOM_MASKS and token > tokenizer.mask_token_id for token in ids]
        shown = [_shown(rng, tokenizer, token) if c else token for token, c in zip(ids, chosen, strict=True)]
        labels = [token if c else -100 for token, c in zip(ids, chosen, strict=True)]
        rows.append({"input_ids": shown, "attention_mask": [1] * len(ids), "labels": labels})
    return rows


def _shown(rng: Random, tokenizer: PreTrainedTokenizerFast, token: int) -> int:
    kind = rng.random()
    mask = int(tokenizer.mask_token_id)
    if kind < 0.8:
        return mask
    return token if kind < 0.9 else rng.randrange(mask + 1, len(tokenizer))


def build() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Train the tokenizer and the model."""
    set_seed(0)
    texts = [e.text for e in fill_mask.sentences("train")] * 2 + fill_mask.diary(Random(0), 5_000)
    tokenizer = byte_level_bpe(texts, 2500)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=384,
        max_position_embeddings=514,
        type_vocab_size=1,
        initializer_range=0.05,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = RobertaForMaskedLM(config)

    def make_features(rng: Random, count: int, progress: float) -> list[Features]:
        rows = features(tokenizer, fill_mask.make(rng, count * 3 // 4))
        texts = [e.text for e in fill_mask.make(rng, count // 8)] + fill_mask.diary(rng, count // 8)
        return rows + _mask_randomly(rng, tokenizer, texts)

    train(model, make_features, steps=STEPS, batch_size=128, learning_rate=2e-3)
    return model, tokenizer


def evaluate(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Metrics:
    """How often the likeliest token is the right one, where the word is one token of a held-out sentence."""
    rows = features(tokenizer, fill_mask.sentences("test"))
    rows = [row for row in rows if sum(label >= 0 for label in row["labels"]) == 1]  # type: ignore[union-attr]
    predicted, expected = [], []
    for (logits,), row in zip(outputs(model, rows, "logits"), rows, strict=True):
        position = row["input_ids"].index(tokenizer.mask_token_id)  # type: ignore[union-attr]
        predicted.append(int(logits[position].argmax()))
        expected.append(max(row["labels"]))  # type: ignore[arg-type]
    return {"accuracy": accuracy(predicted, expected), "examples": len(rows)}
