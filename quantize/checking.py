"""Quantized variants run beside float32, before they become part of a bundle."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace

from torchless.bundle import Bundle
from torchless.environment import cpu_count, onnxruntime
from torchless.errors import QuantizationError, QuantizationWarning, SessionError, user_stacklevel
from torchless.session import Session

from . import hardware
from .drift import Drift
from .entries import list_variants
from .measure import Measured, answer_ms, baseline_ms, compare, outputs_drift
from .samples import Feeds
from .staging import Staging
from .variant import Variant

BOUNDS = {"fp16": 0.05, "q8": 0.1, "int8": 0.5, "int8-static": 0.5, "q4": 0.5}
"""The largest drift of each scheme: root mean square of the differences, as a share of that of the outputs."""

_BOUND = 0.5  # of what was put together of several schemes
_TIMED_SECONDS = 0.5


def measured(staging: Staging, opened: Bundle, made: Sequence[Variant], feeds: Feeds | None, run: str) -> list[Variant]:
    """The variants with what was measured of them, alone and together.

    Args:
        staging: the working copy that the variants were written into.
        opened: the bundle.
        made: one variant for each of some graphs, which will run together.
        feeds: recorded inputs, or None where there are none.
        run: what all that is measured at one time, on one machine and on the same inputs, is called.

    Raises:
        QuantizationError: one does not run, or drifts beyond its bound.
    """
    folder, threads = staging.folder, opened.settings.threads
    try:
        if feeds is None:
            for variant in made:
                Session(folder / variant.graph.model.file)
            return list(made)
        list_variants(staging, opened.manifest, made)
        dtypes = {variant.role: variant.dtype for variant in made}
        found = compare(folder, dtypes, feeds, threads=threads, seconds=_TIMED_SECONDS, memory=False)
        for role, result in found.items():
            _check(f"{result.dtype} of {role}", result.dtype, result.drift)
        float32 = Bundle.open(folder, dtype="fp32", threads=threads)
        together = None
        if len(dtypes) > 1:
            everything = {role: dtypes.get(role, "fp32") for role in opened.dtypes}
            together = outputs_drift(float32, Bundle.open(folder, dtype=everything, threads=threads), feeds)
            named = " with ".join(f"{dtype} of {role}" for role, dtype in dtypes.items())
            _check(named, max(dtypes.values(), key=lambda name: BOUNDS.get(name, _BOUND)), together)
        others = [role for role in opened.dtypes if role not in dtypes]
        known = all(feeds.by_role.get(role) for role in others)
        times = baseline_ms(float32, others, feeds, _TIMED_SECONDS) if known else None
        whole = _Whole(dtypes, found, times, together)
    except SessionError as error:
        raise QuantizationError(f"the quantized graph does not run: {error}") from error
    return [_with(variant, found[variant.role], whole, feeds, threads, run) for variant in made]


@dataclass(frozen=True)
class _Whole:
    """What was measured of variants that run together.

    Attributes:
        dtypes: by graph.
        found: each beside float32.
        others: milliseconds of a call of the graphs that stay in float32; None where one has no recorded inputs.
        drift: of the outputs when all of them run; None where there is one.
    """

    dtypes: dict[str, str]
    found: dict[str, Measured]
    others: dict[str, float] | None
    drift: Drift | None

    def speed(self, roles: Collection[str]) -> float | None:
        """How many times as fast as float32 an answer is with the variants of some graphs; None where not known."""
        if self.others is None:
            return None
        before = {role: measured.baseline_ms for role, measured in self.found.items()} | self.others
        after = before | {role: before[role] / self.found[role].ratio for role in roles}
        return answer_ms(before) / answer_ms(after)


def _check(what: str, scheme: str, drift: Drift) -> None:
    """Raise QuantizationError where outputs drift beyond the scheme's bound, or are not numbers."""
    bound = BOUNDS.get(scheme, _BOUND)
    if not drift.relative <= bound:
        raise QuantizationError(
            f"{what} drifts from float32 by {drift.relative:.2g} of the outputs' size; the bound is {bound:g}. "
            "Leave sensitive parts in float32 (exclude), take a scheme that loses less (q8), or, for int8-static, "
            "calibrate on inputs like those it will meet"
        )


def _with(variant: Variant, measured: Measured, whole: _Whole, feeds: Feeds, threads: int | None, run: str) -> Variant:
    """The variant with its measurements in the account."""
    together = None
    if whole.drift is not None:
        together = {"dtypes": whole.dtypes, "answer": whole.speed(whole.dtypes), "drift": asdict(whole.drift)}
    quantization = {
        **(variant.graph.quantization or {}),
        "drift": {**asdict(measured.drift), "on": feeds.provenance},
        "speed": {
            "ms": measured.ms,
            "fp32_ms": measured.baseline_ms,
            "ratio": measured.ratio,
            "answer": whole.speed([variant.role]),
            "threads": threads or cpu_count(),
            "machine": hardware.describe(),
            "onnxruntime": onnxruntime().__version__,
            "run": run,
        },
        "together": together,
    }
    return replace(variant, graph=replace(variant.graph, quantization=quantization), measured=measured)


def warn(made: Sequence[Variant], *, checked: bool) -> None:
    """Say what the user should know of the variants on this machine."""
    lines = [doubt for doubt in {hardware.doubts(variant.dtype) for variant in made} if doubt]
    for variant in made:
        if variant.measured is not None and variant.measured.ratio < 1:
            ratio = variant.measured.ratio
            lines.append(f"{variant.dtype} of {variant.role} is slower than float32 here: {ratio:.2f} times its speed")
    for variant in made:
        calibration = (variant.graph.quantization or {}).get("calibration") or {}
        if calibration.get("kind") == "references":
            lines.append(
                f"the ranges of {variant.dtype} of {variant.role} come from a few recorded inputs, which are random: "
                "real ones may leave them, and sounds do; give calibrate=a file or folder of what it will meet"
            )
    if not checked:
        lines.append("nothing is recorded in this folder to compare with float32 on: give calibrate=a file of inputs")
    for line in lines:
        warnings.warn(line, QuantizationWarning, stacklevel=user_stacklevel())
