"""Quantizing a bundle: new variants of its graphs beside the others, measured, and entered in its manifest."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from torchless.bundle import Bundle
from torchless.environment import cpu_count
from torchless.errors import (
    QuantizationError,
    QuantizationWarning,
    SessionError,
    user_stacklevel,
)
from torchless.manifest import FILE_NAME, GraphSpec, Manifest, Reference
from torchless.progress import Report, default_report, timed
from torchless.session import Session
from torchless.verification import difference

from . import hardware, saving
from .conversion import convert_role
from .converted import Converted
from .drift import Drift
from .measure import Measured, compare, outputs_drift
from .plans import Plan, SchemeOrName, load, local_folder, plans
from .recommendation import recommended
from .samples import Feeds, record
from .staging import Staging, staged

BOUNDS = {"fp16": 0.05, "q8": 0.1, "int8": 0.5, "int8-static": 0.5, "q4": 0.5}
"""The largest drift of each scheme: root mean square of the differences, as a share of that of the outputs."""

# What differences to the recorded references are accepted at the least, and how many times those that were found.
_TOLERANCE = {"fp16": 2e-2, "q8": 0.1, "int8": 1.0, "int8-static": 1.0, "q4": 1.0}
_MARGIN = 2.0
_TIMED_SECONDS = 0.5


@dataclass(frozen=True)
class Variant:
    """A variant that was made of a graph.

    Attributes:
        role: the graph's.
        dtype: what the variant is called: its scheme.
        graph: what the manifest says of it; see :class:`torchless.manifest.GraphSpec`.
        measured: the variant beside float32; None where there was nothing to run it on.
    """

    role: str
    dtype: str
    graph: GraphSpec
    measured: Measured | None


def quantize(
    bundle: str | Path,
    scheme: SchemeOrName | Mapping[str, SchemeOrName] = "int8",
    *,
    calibrate: str | Path | None = None,
    limit: int = 128,
    recommend: bool = True,
    overwrite: bool = False,
    threads: int | None = None,
    progress: Report | None = None,
    **options: Any,
) -> list[Variant]:
    """Write quantized variants of a bundle's graphs beside the float32 ones.

    Each variant is run and compared with float32 before any file of the bundle changes; then its files and at last
    ``torchless.json`` are moved into the bundle. Whatever fails or interrupts, the bundle is as it was. A folder that
    another tool made gets the files alone.

    Example::

        quantize("models/sst2", "int8")
        quantize("models/t5", {"encoder_model": "int8", "decoder_model": "q4"}, block_size=64)

    Args:
        bundle: the bundle's folder.
        scheme: "int8", "int8-static", "q8", "q4" or "fp16" for all graphs, or by role for some of them.
        calibrate: a file or folder of inputs, see :func:`.sources.read_source`: the ranges of int8-static are taken on
            them, and every scheme is compared with float32 on them. None takes what the manifest has recorded.
        limit: inputs of ``calibrate`` that are used at the most.
        recommend: whether ``dtype="auto"`` picks by what was measured now, see :mod:`.recommendation`.
        overwrite: replace variants that are there.
        threads: threads inside one operator while measuring.
        progress: called as in :func:`torchless.export.export`.
        options: those of the schemes, see :class:`.schemes.Scheme`, such as ``exclude``, ``block_size``, ``method``.

    Returns:
        What was made, by the order of the graphs.

    Raises:
        OptionError: an unknown scheme, role, option, wrong calibration data, or a variant that is already there.
        QuantizationError: a graph that is quantized already, or in which nothing can be; a variant that drifts beyond
            :data:`BOUNDS`; a folder that cannot be written.
        BundleError: the folder is no bundle, or a damaged one.
    """
    folder = local_folder(bundle)
    opened = Bundle.open(folder, threads=threads)
    chosen = plans(opened, scheme, options, overwrite)
    report = progress or default_report()
    with staged(folder) as staging:
        with timed(report, "calibrate" if calibrate is not None else "references"):
            feeds = _feeds(opened, calibrate, limit)
        made = [_make(staging, plan, feeds, report) for plan in chosen]
        with timed(report, "measure"):
            made = _measured(staging.folder, opened, made, feeds, threads)
        if opened.manifest is not None:
            _enter(staging, made, recommend)
        staging.publish()
    _warn(made, checked=feeds is not None)
    return made


def _feeds(bundle: Bundle, calibrate: str | Path | None, limit: int) -> Feeds | None:
    """Inputs of the graphs; None for a folder that has none recorded."""
    if calibrate is None and (bundle.manifest is None or not bundle.manifest.references):
        return None
    return record(bundle, None if calibrate is None else Path(calibrate).expanduser(), limit=limit)


def _make(staging: Staging, plan: Plan, feeds: Feeds | None, report: Report) -> Variant:
    """Convert and write one graph."""
    role, scheme = plan.role, plan.scheme
    with timed(report, f"quantize {role} to {scheme.name}"):
        converted = convert_role(load(plan), scheme, feeds.by_role.get(role) if feeds is not None else None)
        if not converted.quantized:
            reasons = "; ".join(dict.fromkeys(converted.left.values())) or "it has no weights of the right kind"
            raise QuantizationError(f"{scheme.name} finds nothing to quantize in {role} ({reasons}): leave it out")
        staging.claim(f"{plan.file}.data")
        files = saving.save(converted.model, staging.claim(plan.file))
        graph = saving.spec(staging.folder, converted.model, files)
    return Variant(role, scheme.name, replace(graph, quantization=_account(plan, converted, feeds)), None)


def _account(plan: Plan, converted: Converted, feeds: Feeds | None) -> dict[str, Any]:
    """What the manifest says of how a graph was quantized."""
    return {
        "scheme": plan.scheme.name,
        "options": {name: list(value) if name == "exclude" else value for name, value in plan.scheme.options.items()},
        "quantized": converted.quantized,
        "left": converted.left,
        "calibration": feeds.provenance if feeds is not None and plan.scheme.name == "int8-static" else None,
    }


def _measured(
    folder: Path, opened: Bundle, made: Sequence[Variant], feeds: Feeds | None, threads: int | None
) -> list[Variant]:
    """The variants with what was measured of them.

    Raises:
        QuantizationError: one does not run, or drifts beyond its bound.
    """
    try:
        if feeds is None:
            for variant in made:
                Session(folder / variant.graph.model.file)
            return list(made)
        _list(folder, opened.manifest, made)
        dtypes = {variant.role: variant.dtype for variant in made}
        found = compare(folder, dtypes, feeds, threads=threads, seconds=_TIMED_SECONDS, memory=False)
        for role, measured in found.items():
            _check(f"{measured.dtype} of {role}", measured.dtype, measured.drift)
        if len(dtypes) > 1:
            everything = {role: dtypes.get(role, "fp32") for role in opened.dtypes}
            together = outputs_drift(Bundle.open(folder, dtype="fp32"), Bundle.open(folder, dtype=everything), feeds)
            _check(" with ".join(f"{dtype} of {role}" for role, dtype in dtypes.items()), *_widest(dtypes, together))
    except SessionError as error:
        raise QuantizationError(f"the quantized graph does not run: {error}") from error
    return [_with(variant, found[variant.role], feeds, threads) for variant in made]


def _list(folder: Path, manifest: Manifest | None, made: Sequence[Variant]) -> None:
    """Let the working copy's manifest list the variants, so that it can be opened with them."""
    if manifest is not None:
        _write(folder / FILE_NAME, _listing(manifest, made))


def _listing(manifest: Manifest, made: Sequence[Variant]) -> Manifest:
    graphs = {role: dict(variants) for role, variants in manifest.graphs.items()}
    for variant in made:
        graphs[variant.role][variant.dtype] = variant.graph
    return replace(manifest, graphs=graphs)


def _write(path: Path, manifest: Manifest) -> None:
    path.unlink(missing_ok=True)  # a link to the bundle's own
    path.write_text(manifest.to_json(), encoding="utf-8")


def _widest(dtypes: Mapping[str, str], drift: Drift) -> tuple[str, Drift]:
    """The scheme with the widest bound, to judge several together."""
    return max(dtypes.values(), key=lambda name: BOUNDS[name]), drift


def _check(what: str, scheme: str, drift: Drift) -> None:
    """Raise QuantizationError where outputs drift beyond the scheme's bound, or are not numbers."""
    bound = BOUNDS[scheme]
    if not drift.relative <= bound:
        raise QuantizationError(
            f"{what} drifts from float32 by {drift.relative:.2g} of the outputs' size; the bound is {bound:g}. "
            "Leave sensitive parts in float32 (exclude), take a scheme that loses less (q8), or, for int8-static, "
            "calibrate on inputs like those it will meet"
        )


def _with(variant: Variant, measured: Measured, feeds: Feeds, threads: int | None) -> Variant:
    """The variant with its measurements in the account."""
    quantization = {
        **(variant.graph.quantization or {}),
        "drift": {**asdict(measured.drift), "on": feeds.provenance},
        "speed": {
            "ms": measured.ms,
            "fp32_ms": measured.baseline_ms,
            "ratio": measured.ratio,
            "threads": threads or cpu_count(),
            "machine": hardware.describe(),
            "onnxruntime": metadata.version("onnxruntime"),
        },
    }
    return replace(variant, graph=replace(variant.graph, quantization=quantization), measured=measured)


def _enter(staging: Staging, made: Sequence[Variant], recommend: bool) -> None:
    """Write the new manifest: the bundle's as it is by now, with the variants and their tolerances."""
    manifest = Manifest.read(staging.folder.parent)
    if manifest is None:
        raise QuantizationError(f"{staging.folder.parent / FILE_NAME} has gone")
    manifest = _listing(manifest, made)
    path = staging.claim(FILE_NAME)
    _write(path, manifest)
    opened = Bundle(staging.folder)
    names = list(dict.fromkeys(variant.dtype for variant in made))
    references = tuple(_tolerating(opened, reference, names) for reference in manifest.references)
    manifest = replace(manifest, references=references)
    _write(path, replace(manifest, dtype=recommended(manifest)) if recommend else manifest)


def _tolerating(bundle: Bundle, reference: Reference, names: Sequence[str]) -> Reference:
    """The reference with a tolerance for each new variant: a usual one, or twice the difference that is found now."""
    roles = list(bundle.dtypes) if "forced" in reference.inputs else [reference.role]
    tolerance = dict(reference.tolerance)
    for name in names:
        if any(name in bundle.dtypes[role] for role in roles):
            worst = _MARGIN * difference(bundle, reference, name)
            tolerance[name] = float(f"{max(_TOLERANCE[name], worst):.2g}")
    return replace(reference, tolerance=tolerance)


def _warn(made: Sequence[Variant], *, checked: bool) -> None:
    """Say what the user should know of the variants on this machine."""
    lines = [doubt for doubt in {hardware.doubts(variant.dtype) for variant in made} if doubt]
    for variant in made:
        if variant.measured is not None and variant.measured.ratio < 1:
            ratio = variant.measured.ratio
            lines.append(f"{variant.dtype} of {variant.role} is slower than float32 here: {ratio:.2f} times its speed")
    if not checked:
        lines.append("nothing is recorded in this folder to compare with float32 on: give calibrate=a file of inputs")
    for line in lines:
        warnings.warn(line, QuantizationWarning, stacklevel=user_stacklevel())
