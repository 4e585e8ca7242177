"""Record transformers 4.57.6: the pixels of its image processors on Pillow ("slow" ones), and what it makes of logits.

``python -m tests.fidelity.record_images`` in the environment of tests/fidelity/requirements.txt.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL
import torch
import transformers

from . import image_cases


def main() -> None:
    """Write recorded/images.json."""
    rows: list[dict[str, Any]] = []
    for name, settings in image_cases.SETTINGS.items():
        for options in settings:
            processor = getattr(transformers, name)(**options)
            for size in image_cases.SIZES:
                pixels = processor(image_cases.picture(*size), return_tensors="np")["pixel_values"]
                found = image_cases.summary(pixels.astype(np.float32))
                rows.append({"class": name, "options": options, "size": size, **found})
    versions = {"transformers": transformers.__version__, "pillow": PIL.__version__}
    head = json.dumps({"recipe": "python -m tests.fidelity.record_images", "versions": versions})[:-1]
    lines = [",\n".join(map(json.dumps, part)) for part in (rows, list(answers()))]
    text = f'{head}, "cases": [\n{lines[0]}\n], "answers": [\n{lines[1]}\n]}}\n'
    image_cases.RECORDED.write_text(text, encoding="utf-8")
    print(f"{image_cases.RECORDED}: {len(rows)} pictures")


def answers() -> Iterator[dict[str, Any]]:
    """What the pipeline of image classification makes of logits."""
    kind = transformers.ImageClassificationPipeline
    for problem in image_cases.PROBLEMS:
        for logits in image_cases.LOGITS:
            pipeline = kind.__new__(kind)
            config = transformers.PretrainedConfig(num_labels=len(logits), problem_type=problem)
            pipeline.model, pipeline.framework = SimpleNamespace(config=config), "pt"
            for options in image_cases.OPTIONS:
                chosen = pipeline._sanitize_parameters(**options)[2]
                found = pipeline.postprocess({"logits": torch.tensor([logits])}, **chosen)
                yield {"problem": problem, "logits": logits, "options": options, "answer": found}


if __name__ == "__main__":
    main()
