"""Make the examples that quality is measured on: ``python -m examples.training.held_out [FOLDER]``.

They are the first of those that a checkpoint's ``metrics.json`` is of; beside them are some of training, to calibrate
by. Pictures are not kept: :mod:`examples.held_out` draws them again.
"""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import soundfile
from tokenizers import Tokenizer

from ..samples import CHECKPOINTS
from .data import commands, fill_mask, keywords, ner, news, nli, qa, sentiment, story, translation
from .data.names import Split
from .data.voices import RATE, Clip

HELD_OUT = Path(__file__).parent.parent / "held_out"
SEEDS: dict[Split, int] = {"test": 1, "train": 5}
NAMES: dict[Split, str] = {"test": "", "train": "-calibration"}
# Examples of the test, and of training.
COUNTS = {
    "sentiment": 1000, "nli": 1000, "qa": 400, "fill-mask": 800, "ner": 600, "story": 100, "summary": 150,
    "translate": 200, "keywords": 300, "commands": 80,
}  # fmt: skip
CALIBRATION = 64
PREFIXES = ("translate English to German: ", "translate German to English: ")

Row = dict[str, Any]


def main() -> None:
    """Write a table for each checkpoint, and for those that hear a recording of all clips, one after another."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HELD_OUT
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in COUNTS.items():
        for split in SEEDS:
            wanted = count if split == "test" else min(count, CALIBRATION)
            rows = (SOUNDS if name in SOUNDS else TEXTS)[name](Random(SEEDS[split]), wanted, split)
            file = folder / f"{name}{NAMES[split]}"
            if name in SOUNDS:
                _write_sound(file.with_suffix(".ogg"), [row.pop("clip") for row in rows], rows)
            file.with_suffix(".jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _sentiment(rng: Random, count: int, split: Split) -> list[Row]:
    made = sentiment.make(rng, count, split)
    return [{"text": example.text, "label": sentiment.LABELS[example.label]} for example in made]


def _nli(rng: Random, count: int, split: Split) -> list[Row]:
    made = nli.make_pairs(rng, count // 2, split) + nli.make_topics(rng, count // 2, split)
    return [
        {"text": example.premise, "text_pair": example.hypothesis, "label": nli.LABELS[example.label]}
        for example in made
    ]


def _qa(rng: Random, count: int, split: Split) -> list[Row]:
    made = qa.make(rng, count, split)
    return [
        {"question": example.question, "context": example.context, "answers": [example.answer] * bool(example.answer)}
        for example in made
    ]


def _fill_mask(rng: Random, count: int, split: Split) -> list[Row]:
    """Facts in a held-out wording, or in those of training, where the word to guess is one token."""
    tokenizer = Tokenizer.from_file(str(CHECKPOINTS / "fill-mask" / "tokenizer.json"))

    def tokens(example: fill_mask.Example) -> int:
        offsets = tokenizer.encode(example.text, add_special_tokens=False).offsets
        return sum(start < example.end and example.start < end for start, end in offsets)

    made = rng.sample([example for example in fill_mask.sentences(split) if tokens(example) == 1], count)
    return [
        {"text": f"{example.text[: example.start]}<mask>{example.text[example.end :]}", "target": example.word}
        for example in made
    ]


def _ner(rng: Random, count: int, split: Split) -> list[Row]:
    made = ner.make(rng, count, split)
    return [
        {
            "text": example.text,
            "entities": [{"start": span.start, "end": span.end, "label": span.slot} for span in example.spans],
        }
        for example in made
    ]


def _story(rng: Random, count: int, split: Split) -> list[Row]:
    return [{"text": example.text} for example in story.make(rng, count, split)]


def _summary(rng: Random, count: int, split: Split) -> list[Row]:
    return [{"text": example.text, "target": example.summary} for example in news.make(rng, count, split)]


def _translate(rng: Random, count: int, split: Split) -> list[Row]:
    """As many sentences for one direction as for the other."""
    made = translation.make(rng, count, split)
    pairs = [(e.english, e.german) if place % 2 == 0 else (e.german, e.english) for place, e in enumerate(made)]
    return [{"text": PREFIXES[place % 2] + source, "target": target} for place, (source, target) in enumerate(pairs)]


def _keywords(rng: Random, count: int, split: Split) -> list[Row]:
    made = keywords.make(rng, count, split)
    return [{"label": keywords.LABELS[example.label], "clip": example.clip} for example in made]


def _commands(rng: Random, count: int, split: Split) -> list[Row]:
    return [{"text": example.text, "clip": example.clip} for example in commands.make(rng, count, split)]


def _write_sound(file: Path, clips: Sequence[Clip], rows: Iterable[Row]) -> None:
    """Write the clips one after another, and into the rows how many samples each has."""
    for clip, row in zip(clips, rows, strict=True):
        row["samples"] = len(clip)
    with soundfile.SoundFile(file, "w", samplerate=RATE, channels=1, format="OGG", subtype="VORBIS") as sound:
        for clip in clips:
            sound.write(np.clip(clip, -1, 1))


Maker = Callable[[Random, int, Split], list[Row]]
TEXTS: dict[str, Maker] = {
    "sentiment": _sentiment, "nli": _nli, "qa": _qa, "fill-mask": _fill_mask, "ner": _ner, "story": _story,
    "summary": _summary, "translate": _translate,
}  # fmt: skip
SOUNDS: dict[str, Maker] = {"keywords": _keywords, "commands": _commands}


if __name__ == "__main__":
    main()
