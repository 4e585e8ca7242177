"""How does a text go on? ``python -m examples.task_summary.text_generation [--hub]``."""

from __future__ import annotations

import numpy as np

from torchless import Bundle, pipeline

from .models import open_bundle

TEXT = "There was a little boy called Tom. One Monday he wanted to"
LENGTH = 50


def with_pipeline(bundle: Bundle) -> None:
    """Greedy; drawn, with a seed; and in pieces while it is made."""
    write = pipeline("text-generation", bundle, max_new_tokens=LENGTH)
    print(write(TEXT, do_sample=False)[0]["generated_text"])
    for answer in write(TEXT, seed=1, top_p=0.95, num_return_sequences=2):
        print(answer["generated_text"])
    print(TEXT, end="")
    for piece in write.stream(TEXT, do_sample=False):
        print(piece, end="", flush=True)
    print()


def with_parts(bundle: Bundle) -> None:
    """A loop of one's own: the most probable token, until the text ends."""
    generator = bundle.generator()
    tokens = bundle.tokenizer(TEXT)["input_ids"]  # (1, length)
    written = tokens[0].tolist()
    state = generator.new_cache(rows=1, capacity=tokens.shape[1] + LENGTH)
    logits = state.prefill(tokens)  # (1, vocab)
    for _ in range(LENGTH):
        token = logits[0].argmax()
        if token in generator.config.eos_tokens:
            break
        written.append(int(token))
        if len(written) < state.capacity:
            logits = state.step(np.array([token]))
    print(bundle.tokenizer.decode(written, skip_special_tokens=True))


if __name__ == "__main__":
    opened = open_bundle("text_generation")
    with_pipeline(opened)
    with_parts(opened)
