"""Sounds that are made by formula, for what is recorded of torchaudio."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

RECORDED = Path(__file__).parent / "recorded" / "audio.json"
TARGET = 16000
# Sources of speech as it is found: telephone, disc, studio.
RATES = (8000, 44100, 48000)
# Resampled samples are recorded from here on, by this step.
KEPT = slice(100, 15900, 29)
AST: Mapping[str, Any] = {"num_mel_bins": 128, "max_length": 256, "sampling_rate": TARGET}
FRAMES = (0, 1, 50, 99, 150, 196)


def sweep(rate: int) -> np.ndarray:
    """A second of a tone that rises to two thirds of what both rates can hold, float32."""
    time = np.arange(rate) / rate
    top = min(rate, TARGET) / 3
    return (0.5 * np.sin(2 * np.pi * (20 * time + (top - 20) / 2 * time**2))).astype(np.float32)


def mixture() -> np.ndarray:
    """Two seconds at 16 kHz: a tone in noise, then the noise alone and very quiet, then silence."""
    noise = np.random.default_rng(0).standard_normal(2 * TARGET)
    time = np.arange(len(noise)) / TARGET
    level = np.where(time < 1, 0.05, np.where(time < 1.5, 1e-4, 0))
    return (level * noise + np.where(time < 1, 0.4 * np.sin(2 * np.pi * 1234 * time), 0)).astype(np.float32)


def recorded() -> dict[str, Any]:
    """What :mod:`tests.fidelity.record_audio` wrote."""
    return json.loads(RECORDED.read_text(encoding="utf-8"))
