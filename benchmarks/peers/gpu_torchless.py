"""This project in the process of benchmarks/gpu.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from torchless import Bundle
from torchless.session import Array


class Torchless:
    """A bundle on a device.

    Args:
        bundle: its folder.
        dtype: ``"fp32"`` or ``"fp16"``.
        device: ``"cuda"``, ``"cuda:1"`` or ``"cpu"``.
    """

    def __init__(self, bundle: Path, dtype: str, device: str) -> None:
        self._bundle = Bundle.open(bundle, dtype=dtype, device=device)

    def run(self, feeds: Mapping[str, Array]) -> Array:
        """Logits of an encoder, float32."""
        return self._bundle.session("model").run(feeds)["logits"].astype(np.float32)

    def generate(self, feeds: Mapping[str, Array], beams: int, new: int) -> Array:
        """``new`` tokens after each prompt, or start token, by as many beams: int64 ``(rows, new)``."""
        generator = self._bundle.generator()
        options: dict[str, Any] = {"max_new_tokens": new, "num_beams": beams, "do_sample": False}
        if "input_features" in feeds:
            encoded = generator.encode(features=feeds)
            return generator.generate(encoded=encoded, **options).new_tokens
        return generator.generate(feeds["input_ids"], feeds["attention_mask"], **options).new_tokens
