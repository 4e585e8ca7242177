"""How well what a contender answers agrees with torch: below a limit, its time would mean nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any

import numpy as np

# What fp32 must reach. Letters of a CTC model that are torch's, as a share, and those at the start of a generated text,
# which goes another way after a near tie; then greatest deviations.
ALIKE = 0.98
AT_START = 20
# A text of fewer different letters would agree with anything.
DIFFERENT = 5
DEVIATION = {"logits": 2e-3, "tags": 2e-3, "log-mel": 1e-3, "pixels": 1e-5}
# faster-whisper pads the end of a clip otherwise: frames that it touches are left out.
_FRAMES = 2990


def agreements(
    work: str, generated: bool, answers: Mapping[str, Mapping[str, Any]], reference: Mapping[str, Any] | None
) -> dict[str, dict[str, float]]:
    """How well each contender agrees with torch, by its name; nothing where torch was left out.

    Raises:
        SystemExit: one in fp32 does not.
    """
    if reference is None:
        return {}
    found = {name: compared(work, generated, answer, reference) for name, answer in answers.items()}
    for name, numbers in found.items():
        if name.endswith("fp32") and not agrees(work, generated, numbers["agreement"], reference):
            raise SystemExit(
                f"{name} agrees with torch only to {numbers['agreement']} in {work}; its time would mean nothing"
            )
    return found


def compared(work: str, generated: bool, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, float]:
    """What is told of an answer beside its time.

    Returns:
        ``"agreement"``, see :func:`agreement`; for logits also ``"cosine"``, the mean over rows, and ``"same"``,
        the share of rows whose greatest is torch's.
    """
    found = {"agreement": agreement(work, generated, answer, reference)}
    if work not in ("logits", "tags"):
        return found
    one, other = (np.load(each["array"]) for each in (answer, reference))
    one, other = (each.reshape(-1, each.shape[-1]) for each in (one, other))
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    cosine = float(np.mean((one * other).sum(axis=-1) / lengths))
    same = float(np.mean(one.argmax(axis=-1) == other.argmax(axis=-1)))
    return {**found, "cosine": round(cosine, 5), "same": round(same, 4)}


def agreement(work: str, generated: bool, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> float:
    """A share of labels or letters (1 is best), or a greatest deviation (0 is best) where there are numbers."""
    if work == "speech" and min(len(set(_letters(text))) for text in reference["texts"]) < DIFFERENT:
        raise SystemExit(f"torch's texts are too uniform to compare anything with them: {reference['texts']}")
    if work == "label":
        return float(np.mean([one == other for one, other in zip(answer["texts"], reference["texts"], strict=True)]))
    if "texts" in answer:
        texts = zip(answer["texts"], reference["texts"], strict=True)
        return round(min(_common(_letters(one), _letters(other), generated) for one, other in texts), 4)
    found, wanted = np.load(answer["array"]), np.load(reference["array"])
    if work == "log-mel":
        found, wanted = found[..., :_FRAMES], wanted[..., :_FRAMES]
    if found.shape != wanted.shape:
        raise SystemExit(f"an answer of {found.shape}, and torch's is of {wanted.shape}")
    return float(f"{np.abs(found - wanted).max():.1e}")


def agrees(work: str, generated: bool, found: float, reference: Mapping[str, Any]) -> bool:
    """Whether that is enough for fp32."""
    if work in DEVIATION:
        return found <= DEVIATION[work]
    if not generated:
        return found >= (ALIKE if work == "speech" else 1)
    return found >= min(AT_START / max(len(_letters(text)), 1) for text in reference["texts"])


def _letters(text: str) -> str:
    """Libraries differ in spaces around punctuation, which are not what is compared."""
    return re.sub(r"[\W_]", "", text)


def _common(one: str, other: str, generated: bool) -> float:
    """The share of equal letters; of those at the start alone, where what follows depends on what precedes."""
    if not generated:
        return SequenceMatcher(None, one, other, autojunk=False).ratio()
    longest = max(len(one), len(other))
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (left, right) in pairs if left != right), min(len(one), len(other))) / longest
