"""Tasks that generate text against recorded answers of transformers 4.57.6: the same texts and token ids."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from torchless import Bundle, pipeline

from . import cases
from .checkpoints import Exported

pytestmark = [
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore::torchless.TruncationWarning"),
    pytest.mark.filterwarnings("ignore:the task names no languages"),
]

CALLS = [(checkpoint, task, noise) for checkpoint, task, *_ in cases.GENERATION for noise in cases.NOISE]
INPUTS = {(checkpoint, task): inputs for checkpoint, task, inputs, _ in cases.GENERATION}


def recorded(checkpoint: str, task: str, noise: int | None) -> list[dict[str, Any]]:
    content = json.loads(Path(cases.RECORDED, "generation.json").read_text(encoding="utf-8"))
    return [
        case
        for case in content["cases"]
        if (case["checkpoint"], case["task"], case["noise"]) == (checkpoint, task, noise)
    ]


@pytest.mark.parametrize(("checkpoint", "task", "noise"), CALLS)
def test_one_by_one(checkpoint: str, task: str, noise: int | None, exported: Exported) -> None:
    answer = pipeline(task, Bundle.open(exported(checkpoint, noise)))
    found = recorded(checkpoint, task, noise)
    assert len(found) > 0
    for case in found:
        text = INPUTS[checkpoint, task][case["input"]]
        assert answer(text, **case["options"]) == case["answers"], case


@pytest.mark.parametrize(("checkpoint", "task", "noise"), CALLS)
def test_as_a_list(checkpoint: str, task: str, noise: int | None, exported: Exported) -> None:
    answer = pipeline(task, Bundle.open(exported(checkpoint, noise)))
    groups = defaultdict(list)
    for case in recorded(checkpoint, task, noise):
        groups[json.dumps(case["options"])].append(case)
    for options, group in groups.items():
        texts = [INPUTS[checkpoint, task][case["input"]] for case in group]
        for found, case in zip(answer(iter(texts), **json.loads(options)), group, strict=True):
            assert found == case["answers"], case


@pytest.mark.parametrize("noise", cases.NOISE)
def test_pieces(noise: int | None, exported: Exported) -> None:
    write = pipeline("text-generation", Bundle.open(exported("story", noise)))
    for case in recorded("story", "text-generation", noise):
        options = case["options"]
        if options.get("return_full_text") is False:
            pieces = list(write.stream(cases.STORIES[case["input"]], **options))
            assert "".join(pieces) == case["answers"][0]["generated_text"], case
