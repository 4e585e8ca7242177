"""1,000 texts of mixed length: one list, against a loop that calls the same pipeline text by text.

``python -m benchmarks.batching BUNDLE...`` writes results/batching.json; a bundle is one for text classification.
"""

from __future__ import annotations

import argparse
import random
from functools import partial
from pathlib import Path
from typing import Any

from torchless import Bundle, Pipeline, pipeline

from .measure import interleaved, write

TEXTS = 1000
THREADS = 2
TOLERANCE = 1e-5
WORDS = "the film was good and actors were great but story of this book is slow not very bad for a child".split()


def main() -> None:
    """Time the two ways for every bundle and check that they agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    texts = make_texts()
    rows = []
    for folder in arguments.bundles:
        bundle = Bundle.open(folder, threads=THREADS)
        classify = pipeline("text-classification", bundle)
        lengths = sorted(len(encoding) for encoding in bundle.tokenizer.encode(texts))
        together = [answer["score"] for answer in classify(texts)]
        alone = [classify(text)[0]["score"] for text in texts]
        difference = max(abs(one - other) for one, other in zip(together, alone, strict=True))
        if difference > TOLERANCE:
            raise SystemExit(f"a list and a loop differ by {difference:.2g}")
        seconds = interleaved(
            {"list": partial(classify, texts), "loop": partial(_loop, classify, texts)}, arguments.repeats, warmup=0
        )
        rows.append({
            "bundle": folder.name,
            "tokens": {"least": lengths[0], "median": lengths[len(lengths) // 2], "most": lengths[-1]},
            **{name: round(value, 3) for name, value in seconds.items()},
            "ratio": round(seconds["loop"] / seconds["list"], 2),
            "difference": difference,
        })  # fmt: skip
        print(rows[-1], flush=True)
    print(write("batching", rows, texts=TEXTS, unit="s", threads=THREADS))


def _loop(classify: Pipeline[Any], texts: list[str]) -> None:
    for text in texts:
        classify(text)


def make_texts(seed: int = 0) -> list[str]:
    """Texts whose lengths spread as those of short reviews do: mostly short, some long."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=max(1, round(rng.lognormvariate(2.8, 0.7))))) for _ in range(TEXTS)]


if __name__ == "__main__":
    main()
