"""Record what the speech recognition pipeline of transformers 4.57.6 answers with a seeded Whisper checkpoint.

Written by :mod:`tests.fidelity.record`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers

from . import whisper_cases as cases


def recorded() -> Iterator[dict[str, Any]]:
    """Every sound of every call, alone."""
    with tempfile.TemporaryDirectory() as folder:
        cases.save(Path(folder))
        pipeline = transformers.pipeline(
            "automatic-speech-recognition", folder, dtype=torch.float32, device="cpu", ignore_warning=True
        )
        for place, (sounds, options, generation) in enumerate(cases.CALLS):
            wanted = dict(generation)
            if "prompt" in wanted:
                wanted["prompt_ids"] = pipeline.tokenizer.get_prompt_ids(wanted.pop("prompt"), return_tensors="pt")
            for name in sounds:
                answer = pipeline(cases.sound(name), generate_kwargs=dict(wanted), **options)
                yield {"call": place, "sound": name, "answer": cases.compact(answer)}
