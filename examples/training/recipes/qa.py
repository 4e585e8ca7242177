"""Extractive question answering with BERT."""

from itertools import islice
from random import Random

from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    set_seed,
)

from ..data import qa
from ..evaluate import Metrics, outputs, token_f1
from ..init import mimetic
from ..loop import Features, train
from ..vocab import wordpiece

LONGEST_ANSWER = 24
STEPS = 4000
HELD_OUT = 2000


def features(tokenizer: PreTrainedTokenizerFast, examples: list[qa.Example]) -> list[Features]:
    """Encode the pairs, with the tokens of the answer, or [CLS] where the text has none."""
    questions, contexts = [e.question for e in examples], [e.context for e in examples]
    encoding = tokenizer(questions, contexts, truncation="only_second", max_length=512)
    rows: list[Features] = []
    for index, example in enumerate(examples):
        start = end = 0
        if example.answer:
            start = encoding.char_to_token(index, example.start, 1) or 0
            end = encoding.char_to_token(index, example.end - 1, 1) or 0
        row: Features = {key: values[index] for key, values in encoding.items()}
        rows.append(row | {"start_positions": start, "end_positions": end})
    return rows


def build() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Train the tokenizer and the model."""
    set_seed(0)
    texts = [f"{e.question} {e.context}" for e in qa.make(Random(0), 20_000)]
    tokenizer = wordpiece(texts, 2500, lowercase=False)
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
    )
    model = BertForQuestionAnswering(config)
    mimetic(model.bert)

    def make_features(rng: Random, count: int, progress: float) -> list[Features]:
        longest = 2 + int(8 * min(1.0, progress * 1.4))
        return features(tokenizer, qa.make(rng, count, longest=longest))

    train(model, make_features, steps=STEPS, learning_rate=1.5e-3)
    return model, tokenizer


def answer(tokenizer: PreTrainedTokenizerFast, model: PreTrainedModel, examples: list[qa.Example]) -> list[str]:
    """The best span of each context, or an empty text where [CLS] is better."""
    rows = features(tokenizer, examples)
    encoding = tokenizer([e.question for e in examples], [e.context for e in examples], truncation="only_second")
    answers = []
    for index, (starts, ends) in enumerate(outputs(model, rows, "start_logits", "end_logits")):
        best, text = float(starts[0] + ends[0]), ""
        inside = [i for i, part in enumerate(encoding.sequence_ids(index)) if part == 1]
        for start in sorted(inside, key=lambda i: -starts[i])[:10]:
            for end in islice(inside, start - inside[0], start - inside[0] + LONGEST_ANSWER):
                score = float(starts[start] + ends[end])
                if score > best:
                    chars = (
                        encoding.token_to_chars(index, start).start,
                        encoding.token_to_chars(index, end).end,
                    )
                    best, text = score, examples[index].context[slice(*chars)]
        answers.append(text)
    return answers


def evaluate(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Metrics:
    """Exact match and F1 on texts about held-out names."""
    examples = qa.make(Random(1), HELD_OUT, "test")
    answers = answer(tokenizer, model, examples)
    pairs = [(a, e.answer) for a, e in zip(answers, examples, strict=True)]
    return {
        "exact_match": sum(a == b for a, b in pairs) / HELD_OUT,
        "f1": sum(token_f1(a, b) for a, b in pairs) / HELD_OUT,
        "examples": HELD_OUT,
    }
