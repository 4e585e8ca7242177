"""Make the demo's recordings and pictures: `python -m examples.training.inputs [FOLDER]`.

Voices, sentences and pairs of colours are those that training never uses.
"""

import json
import sys
from pathlib import Path
from random import Random

import numpy as np
import soundfile
import soxr
from PIL import Image

from .data import commands, keywords, pictures, voices
from .data.voices import RATE, Clip

INPUTS = Path(__file__).parent.parent / "inputs"
WORDS = ("yes", "left", "no", "banana")
SENTENCES = 3
# Size, mode, and the colour, shape and ground of each picture.
PICTURES = (
    (160, 120, "RGB", "red", "circle", "green"),
    (96, 96, "P", "yellow", "star", "purple"),
    (120, 120, "RGBA", "blue", "cross", "white"),
    (64, 64, "RGB", "orange", "ring", "blue"),
)


def main() -> None:
    """Write the files, and what is said or seen in each to `expected.json`."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else INPUTS
    folder.mkdir(parents=True, exist_ok=True)
    expected = write_words(folder) | write_sentences(folder) | write_pictures(folder)
    (folder / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")


def write_words(folder: Path) -> dict[str, str]:
    """A second for each word; the last but one at 8 kHz."""
    rng = Random(2)
    expected: dict[str, str] = {}
    for word in WORDS:
        spoken = voices.say(word, voices.voice(rng, "test"))[: int(0.95 * RATE)]
        label = keywords.LABELS.index(word if word in keywords.LABELS else "_unknown_")
        clip = keywords.record(rng, (spoken, label, word)).clip
        _write(folder / f"word-{word}.wav", clip, 8_000 if word == WORDS[-2] else RATE)
        expected[f"word-{word}.wav"] = keywords.LABELS[label]
    return expected


def write_sentences(folder: Path) -> dict[str, str]:
    """Some sentences; the last in stereo, at 22.05 kHz."""
    rng = Random(3)
    expected: dict[str, str] = {}
    for number in range(1, SENTENCES + 1):
        clip, text = commands.make(rng, 1, "test")[0]
        last = number == SENTENCES
        _write(folder / f"sentence-{number}.wav", clip, 22_050 if last else RATE, channels=2 if last else 1)
        expected[f"sentence-{number}.wav"] = text
    return expected


def write_pictures(folder: Path) -> dict[str, str]:
    """The pictures, with a palette or with transparency where their mode says so."""
    rng = Random(4)
    expected: dict[str, str] = {}
    for width, height, mode, colour, shape, ground in PICTURES:
        image = pictures.draw(rng, colour, shape, pictures.COLOURS[ground], width, height)
        if mode == "RGBA":
            image.putalpha(Image.linear_gradient("L").resize((width, height)))
        elif mode == "P":
            image = image.quantize(64)
        image.save(folder / f"{colour}-{shape}.png", optimize=True)
        expected[f"{colour}-{shape}.png"] = f"{colour} {shape}"
    return expected


def _write(file: Path, clip: Clip, rate: int, channels: int = 1) -> None:
    """Write a clip; of two channels the second is quieter."""
    sound = soxr.resample(clip, RATE, rate) if rate != RATE else clip
    spread = np.stack([sound, 0.6 * sound][:channels], axis=-1)
    soundfile.write(file, spread.clip(-1, 1), rate, subtype="PCM_16")


if __name__ == "__main__":
    main()
