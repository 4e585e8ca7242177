"""A model that is a table: the next token depends on the last one only, so that answers can be worked out by hand."""

from __future__ import annotations

import numpy as np

from torchless.generation import GenerationConfig, decode, run

PAD, EOS, A, B, C = range(5)

# Probabilities of PAD, EOS, A, B, C after each token.
TABLE = {
    PAD: (0, 0, 0, 1, 0),
    EOS: (0, 0, 0, 1, 0),
    A: (0, 0, 0, 0.6, 0.4),
    B: (0, 0.4, 0, 0.35, 0.25),
    C: (0, 0.9, 0, 0.1, 0),
}


class Chain:
    """The protocol of the loops on a table; remembers what it was asked."""

    def __init__(self, table=TABLE):
        with np.errstate(divide="ignore"):
            self.logits = np.log(np.array([table[token] for token in sorted(table)], dtype=np.float32))
        self.calls = []

    def prefill(self, tokens, lengths):
        assert tokens.dtype == np.int64
        self.rows = [list(row[:length]) for row, length in zip(tokens.tolist(), lengths, strict=True)]
        self.calls.append(("prefill", [len(row) for row in self.rows]))
        return self._last()

    def step(self, tokens):
        for row, token in zip(self.rows, tokens.tolist(), strict=True):
            row.append(token)
        self.calls.append(("step", tokens.tolist()))
        return self._last()

    def extend(self, tokens):
        (row,) = self.rows
        row += tokens.tolist()
        self.calls.append(("extend", tokens.tolist()))
        return self.logits[tokens]

    def rewind(self, count):
        del self.rows[0][-count:]
        self.calls.append(("rewind", count))

    def expand(self, copies):
        self.rows = [list(row) for row in self.rows for _ in range(copies)]
        self.calls.append(("expand", copies))

    def reorder(self, parents):
        self.rows = [list(self.rows[parent]) for parent in parents]

    def _last(self):
        return self.logits[[row[-1] for row in self.rows]]


def generate(prompts, *, model=None, table=TABLE, each=None, tokenizer=None, **options):
    """The output for prompts given as lists; options of the config and of ``decode``."""
    arguments = {
        name: options.pop(name)
        for name in ("seed", "logits_processors", "prefix_allowed_tokens_fn", "stopping", "encoder_tokens")
        if name in options
    }
    lengths = np.array([len(prompt) for prompt in prompts])
    tokens = np.full((len(prompts), lengths.max()), PAD)
    for row, prompt in enumerate(prompts):
        tokens[row, : len(prompt)] = prompt
    config = GenerationConfig(pad_token_id=PAD, eos_token_id=EOS).replace(**options)
    config = config.resolve(tokens.shape[1], rows=len(prompts), tokenizer=tokenizer is not None)
    steps = decode(model or Chain(table), tokens, lengths, config, tokenizer=tokenizer, **arguments)
    return run(steps, each)
