"""Say it shorter: ``python -m examples.task_summary.summarization [--hub]``."""

from __future__ import annotations

import numpy as np

from torchless import Bundle, pipeline

from .models import open_bundle

TEXT = (
    "On Friday there was a fire in a hotel in Brighton. It took three hours to put out the flames. The fire injured "
    "two people. The cause was an old heater, as the fire service said. Julia Carter, the mayor, thanked the "
    "firefighters."
)
LENGTH = 60


def with_pipeline(bundle: Bundle) -> None:
    """With the beams and lengths that the checkpoint asks for, then with others."""
    summarize = pipeline("summarization", bundle)
    print(summarize(TEXT)[0]["summary_text"])
    print(summarize(TEXT, num_beams=2, max_new_tokens=LENGTH, no_repeat_ngram_size=3)[0]["summary_text"])


def with_parts(bundle: Bundle) -> None:
    """The encoder once, then the most probable token, until the summary ends."""
    generator = bundle.generator()
    config = generator.config
    batch = bundle.tokenizer(TEXT)
    encoded = generator.encode(batch["input_ids"], batch["attention_mask"])
    written = generator.start_tokens(1)[0].tolist()
    if config.forced_bos_token_id is not None:
        written.append(config.forced_bos_token_id)
    state = generator.new_cache(1, LENGTH, encoded)
    logits = state.prefill(np.array([written]))  # (1, vocab)
    while len(written) < LENGTH:
        written.append(int(logits[0].argmax()))
        if written[-1] in config.eos_tokens:
            break
        logits = state.step(np.array(written[-1:]))
    print(bundle.tokenizer.decode(written, skip_special_tokens=True))


if __name__ == "__main__":
    opened = open_bundle("summarization")
    with_pipeline(opened)
    with_parts(opened)
