"""Third-party chatter that says nothing to a user of an export, silenced while one runs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers.utils import logging as _logging

transformers_logging: Any = _logging  # partly without annotations

# Message patterns of warnings, each harmless here.
_WARNINGS = (
    r".*isinstance\(treespec, LeafSpec\)` is deprecated",  # torch.export on its own tree specs
    r"Recommended: pip install sacremoses",  # which would normalize punctuation: transformers itself does not use it
    r"Support for mismatched key_padding_mask and attn_mask is deprecated",  # WavLM's own attention
    r".*The axis name: \w+ will not be used",  # inputs share axis names on purpose
)
_LOGGERS = ("torch.onnx", "torch.export", "torch.fx", "torch.fx.experimental.symbolic_shapes", "onnxscript", "onnx_ir")


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back progress bars, advice and known warnings of torch and transformers."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    with warnings.catch_warnings():
        for pattern in _WARNINGS:
            warnings.filterwarnings("ignore", message=pattern)
        try:
            for name in _LOGGERS:
                logging.getLogger(name).setLevel(logging.CRITICAL)
            transformers_logging.set_verbosity(logging.CRITICAL)
            transformers_logging.disable_progress_bar()
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
            transformers_logging.set_verbosity(verbosity)
            if bars:
                transformers_logging.enable_progress_bar()
