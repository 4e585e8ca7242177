"""The examples that quality is measured on: what is kept is what the recipes make, and clips and pictures come out."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from examples.held_out import KEPT, prepare
from examples.samples import CHECKPOINTS

TEXTS = ("fill-mask", "ner", "nli", "qa", "sentiment", "story", "summary", "translate")


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_checkpoint_has_both_parts() -> None:
    names = {path.parent.name for path in CHECKPOINTS.glob("*/config.json")} - {"shapes"}
    assert {path.stem for path in KEPT.glob("*.jsonl")} == names | {f"{name}-calibration" for name in names}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_those_that_the_recipes_make(tmp_path: Path, name: str) -> None:
    for package in ("faker", "vaderSentiment", "soundfile"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    from examples.training.held_out import CALIBRATION, COUNTS
    from examples.training.held_out import TEXTS as MAKERS

    assert rows(prepare(name, tmp_path)) == MAKERS[name](Random(1), COUNTS[name], "test")
    calibration = rows(prepare(name, tmp_path, "calibration"))
    assert calibration == MAKERS[name](Random(5), CALIBRATION, "train")
    held_out = {json.dumps(row) for row in rows(prepare(name, tmp_path))}
    assert not held_out & {json.dumps(row) for row in calibration}


@pytest.mark.parametrize("name", ["keywords", "commands"])
def test_clips(tmp_path: Path, name: str) -> None:
    soundfile = pytest.importorskip("soundfile")
    made, kept = rows(prepare(name, tmp_path)), rows(KEPT / f"{name}.jsonl")
    clips = [soundfile.read(tmp_path / row["audio"], dtype="float32") for row in made]
    assert [len(clip) for clip, _ in clips] == [row["samples"] for row in kept]
    assert {rate for _, rate in clips} == {16_000}
    whole, _ = soundfile.read(KEPT / f"{name}.ogg", dtype="float32")
    np.testing.assert_array_equal(np.concatenate([clip for clip, _ in clips]), whole)


def test_pictures_are_the_same_every_time(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    tables = [prepare("shapes", tmp_path / part, "calibration") for part in ("one", "two")]
    assert rows(tables[0]) == rows(tables[1])
    for row in rows(tables[0])[:8]:
        pair = [np.asarray(image.open(table.parent / row["image"])) for table in tables]
        np.testing.assert_array_equal(*pair)
        assert pair[0].shape[2] == 3
