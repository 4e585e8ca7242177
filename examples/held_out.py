"""Examples that the shipped checkpoints never saw, and some that they were trained on: labelled files, torch-free.

``python -m examples.held_out FOLDER [NAME ...]`` writes the tables, and beside them the sounds and pictures that they
name. The texts and recordings are kept in ``examples/held_out``, made by :mod:`examples.training.held_out`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from random import Random
from typing import Any, Literal

from .samples import CHECKPOINTS

KEPT = Path(__file__).parent / "held_out"
Part = Literal["held_out", "calibration"]

_SUFFIXES: dict[Part, str] = {"held_out": "", "calibration": "-calibration"}
# Seed and number of the pictures of each part.
_PICTURES: dict[Part, tuple[int, int]] = {"held_out": (1, 600), "calibration": (5, 64)}


def prepare(name: str, folder: Path, part: Part = "held_out") -> Path:
    """Write the examples of a checkpoint.

    Args:
        name: the checkpoint's, such as ``"sentiment"``.
        folder: where to write.
        part: ``"held_out"`` to measure quality on, or ``"calibration"``: some that the training is made of.

    Returns:
        A table, see :mod:`torchless.quantize.labelled` for its fields.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = f"{name}{_SUFFIXES[part]}.jsonl"
    if name == "shapes":
        _write(folder / table, _pictures(folder, part))
    elif (KEPT / table).with_suffix(".ogg").exists():
        _write(folder / table, _sounds(folder, table))
    else:
        shutil.copyfile(KEPT / table, folder / table)
    return folder / table


def _pictures(folder: Path, part: Part) -> list[dict[str, Any]]:
    """Draw the pictures."""
    from .training.data import pictures

    seed, count = _PICTURES[part]
    rows = []
    made = pictures.make(Random(seed), count, "test" if part == "held_out" else "train")
    for number, example in enumerate(made):
        file = f"picture{_SUFFIXES[part]}-{number}.png"
        example.image.save(folder / file, compress_level=1)
        rows.append({"image": file, "label": pictures.LABELS[example.label]})
    return rows


def _sounds(folder: Path, table: str) -> list[dict[str, Any]]:
    """Cut the recording into its clips."""
    import soundfile

    sound, rate = soundfile.read((KEPT / table).with_suffix(".ogg"), dtype="float32")
    rows, start = [], 0
    for number, line in enumerate((KEPT / table).read_text(encoding="utf-8").splitlines()):
        row = json.loads(line)
        end = start + row.pop("samples")
        file = f"{Path(table).stem}-{number}.wav"
        soundfile.write(folder / file, sound[start:end], rate, subtype="FLOAT")
        rows.append({"audio": file, **row})
        start = end
    return rows


def _write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def main() -> None:
    """Write both parts of all checkpoints, or of some."""
    names = sorted(path.parent.name for path in CHECKPOINTS.glob("*/config.json"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all of them by default")
    arguments = parser.parse_args()
    for name in arguments.names or names:
        for part in _SUFFIXES:
            print(prepare(name, arguments.folder, part))


if __name__ == "__main__":
    main()
