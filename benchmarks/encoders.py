"""BERT-base: this project's graph, the same with attention left decomposed, and torch; fp32, random weights.

``python -m benchmarks.encoders [--repeats 20]`` writes results/encoders.json. Every cell's outputs are checked to
agree before it is timed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models

from torchless import Bundle, Settings
from torchless.export import export
from torchless.session import Array

from .measure import interleaved, write

SHAPES = ((1, 16), (1, 128), (8, 128), (1, 384))
THREADS = 2
TOLERANCE = 1e-4


def main() -> None:
    """Time every shape and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    repeats: int = parser.parse_args().repeats
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        model = _checkpoint(Path(folder, "checkpoint"))
        sessions = {
            name: Bundle(export(folder + "/checkpoint", folder + f"/{name}", attention=name), Settings(threads=THREADS))
            for name in ("fused", "traced")
        }
        rows = []
        for batch, length in SHAPES:
            calls = _calls(model, sessions, batch, length)
            seconds = interleaved(calls, repeats)
            rows.append(
                {"batch": batch, "length": length, **{name: round(1e3 * value, 2) for name, value in seconds.items()}}
            )
            print(rows[-1], flush=True)
    print(write("encoders", rows, model="BERT-base, 110M parameters, random weights", unit="ms", threads=THREADS))


def _checkpoint(folder: Path) -> Any:
    torch.manual_seed(0)
    auto: Any = transformers.AutoModelForSequenceClassification
    model: Any = auto.from_config(transformers.BertConfig(), attn_implementation="sdpa")
    model.eval().save_pretrained(folder)
    words = {token: index for index, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])}
    backend = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer: Any = transformers.PreTrainedTokenizerFast
    tokenizer(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", model_max_length=512).save_pretrained(
        folder
    )
    return model


def _calls(model: Any, bundles: dict[str, Bundle], batch: int, length: int) -> dict[str, Callable[[], Array]]:
    rng = np.random.default_rng(0)
    feeds = {
        "input_ids": rng.integers(1000, 30000, (batch, length)),
        "attention_mask": np.ones((batch, length), np.int64),
        "token_type_ids": np.zeros((batch, length), np.int64),
    }
    tensors = {name: torch.from_numpy(value) for name, value in feeds.items()}

    def ours(bundle: Bundle) -> Array:
        return bundle.session("model").run(feeds)["logits"]

    def peer() -> Array:
        with torch.inference_mode():
            logits: Array = model(**tensors).logits.numpy()
            return logits

    calls: dict[str, Callable[[], Array]] = {
        f"torchless {name}": partial(ours, bundle) for name, bundle in bundles.items()
    }
    calls["torch"] = peer
    expected = peer()
    for name, call in calls.items():
        difference = float(np.abs(call() - expected).max())
        if difference > TOLERANCE:
            raise SystemExit(f"{name} differs from torch by {difference:.2g}; its time would mean nothing")
    return calls


if __name__ == "__main__":
    main()
