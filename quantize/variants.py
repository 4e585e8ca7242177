"""Quantizing a bundle: new variants of its graphs beside the others, measured, and entered in its manifest."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from torchless.bundle import Bundle
from torchless.errors import QuantizationError, TorchlessError
from torchless.progress import Report, default_report, silent, timed

from . import saving
from .checking import measured, warn
from .conversion import convert_role
from .entries import enter
from .plans import Choice, Plan, load, local_folder, plans
from .recommendation import given
from .samples import Feeds, record
from .staging import Staging, staged
from .variant import Conversion, Variant


def quantize(
    bundle: str | Path,
    scheme: Choice | Sequence[Choice] = "int8",
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

        quantize("models/sst2", ["int8", "q4"])
        quantize("models/t5", {"encoder_model": "int8", "decoder_model": "q4"}, block_size=64)

    Args:
        bundle: the bundle's folder.
        scheme: "int8", "int8-static", "q8", "q4" or "fp16" for all graphs, or by role for some of them; or several
            such choices.
        calibrate: a file or folder of inputs, see :func:`.sources.read_source`: the ranges of int8-static are taken on
            them, and every scheme is compared with float32 on them. None takes what the manifest has recorded.
        limit: inputs of ``calibrate`` that are used at the most.
        recommend: whether ``dtype="auto"`` picks by what is measured now, see :mod:`.recommendation`; what it picks so
            far is measured again beside the new variants.
        overwrite: replace variants that are there.
        threads: threads inside one operator while measuring.
        progress: called as in :func:`torchless.export.export`.
        options: those of the schemes, see :class:`.schemes.Scheme`, such as ``exclude``, ``block_size``, ``method``.

    Returns:
        What was made, in the order of the choices and graphs.

    Raises:
        OptionError: an unknown scheme, role, option, wrong calibration data, or a variant that is already there.
        QuantizationError: a graph that is quantized already, or in which nothing can be; a variant that drifts beyond
            :data:`.checking.BOUNDS`; a folder that cannot be written.
        BundleError: the folder is no bundle, or a damaged one.
    """
    opened = Bundle.open(local_folder(bundle), threads=threads)
    chosen = plans(opened, scheme, options, overwrite)
    report = progress or default_report()
    with timed(report, "references" if calibrate is None else "calibrate"):
        feeds = recorded(opened, calibrate, limit)
    groups = [_conversions(group, feeds, report) for group in chosen]
    return write(opened, groups, feeds, recommend=recommend, report=report)


def recorded(bundle: Bundle, calibrate: str | Path | None, limit: int) -> Feeds | None:
    """Inputs of the graphs; None for a folder that has none recorded."""
    if calibrate is None and (bundle.manifest is None or not bundle.manifest.references):
        return None
    return record(bundle, None if calibrate is None else Path(calibrate).expanduser(), limit=limit)


def write(
    bundle: Bundle,
    groups: Iterable[Iterable[Conversion]],
    feeds: Feeds | None,
    *,
    recommend: bool = True,
    report: Report | None = None,
) -> list[Variant]:
    """Write converted graphs into a bundle, compared with float32 first; all or none.

    Args:
        bundle: the opened bundle; its threads are those that time is measured with.
        groups: the graphs, those that run together in one group; variants of the same names are replaced.
        feeds: recorded inputs to compare on, or None where there are none.
        recommend: whether ``dtype="auto"`` picks by what was measured.
        report: called with the steps.

    Raises:
        QuantizationError: a graph that does not run or drifts too far; a folder that cannot be written.
    """
    report = report or silent
    run = uuid.uuid4().hex[:12]
    with staged(bundle.folder) as staging:
        made: list[Variant] = []
        for group in groups:
            variants = [_saved(staging, bundle, conversion, feeds) for conversion in group]
            with timed(report, "measure"):
                made += measured(staging, bundle, variants, feeds, run)
        if bundle.manifest is not None:
            again = _picked(bundle, made) if recommend and feeds is not None and given(feeds.provenance) else []
            if again:
                with timed(report, "measure what was picked before"):
                    again = _measured_anew(staging, bundle, again, feeds, run)
            enter(staging, made, again, run if recommend else None)
        staging.publish()
    warn(made, checked=feeds is not None)
    return made


def _picked(bundle: Bundle, made: Sequence[Variant]) -> list[Variant]:
    """The variants that ``dtype="auto"`` picks so far; none where one of them was just replaced."""
    assert bundle.manifest is not None
    graphs = bundle.manifest.graphs
    picked = {role: bundle.manifest.automatic(role, "cpu") for role in graphs}
    found = [Variant(role, dtype, graphs[role][dtype], None) for role, dtype in picked.items() if dtype != "fp32"]
    names = {(variant.role, variant.dtype) for variant in made}
    return [] if any((variant.role, variant.dtype) in names for variant in found) else found


def _measured_anew(
    staging: Staging, bundle: Bundle, variants: Sequence[Variant], feeds: Feeds | None, run: str
) -> list[Variant]:
    """Variants of the bundle measured beside those that are new; none where they do not run or drift too far."""
    try:
        return measured(staging, bundle, variants, feeds, run)
    except TorchlessError:
        return []


def _conversions(chosen: Sequence[Plan], feeds: Feeds | None, report: Report) -> Iterator[Conversion]:
    """The planned graphs, converted one by one."""
    for plan in chosen:
        role, scheme = plan.role, plan.scheme
        with timed(report, f"quantize {role} to {scheme.name}"):
            converted = convert_role(load(plan), scheme, feeds.by_role.get(role) if feeds is not None else None)
        yield Conversion(role, scheme, converted)


def _saved(staging: Staging, bundle: Bundle, conversion: Conversion, feeds: Feeds | None) -> Variant:
    """Write one graph into the working copy."""
    role, scheme, converted = conversion.role, conversion.scheme, conversion.converted
    if not converted.quantized:
        reasons = "; ".join(dict.fromkeys(converted.left.values())) or "it has no weights of the right kind"
        raise QuantizationError(f"{scheme.name} finds nothing to quantize in {role} ({reasons}): leave it out")
    source = PurePosixPath(bundle.graph_file(role, "fp32"))
    name = str(source.with_name(saving.file_name(role, scheme.name)))
    staging.claim(f"{name}.data")
    files = saving.save(converted.model, staging.claim(name))
    graph = saving.spec(staging.folder, converted.model, files)
    account = {
        "scheme": scheme.name,
        "options": {name: list(value) if name == "exclude" else value for name, value in scheme.options.items()},
        "quantized": converted.quantized,
        "left": converted.left,
        "calibration": feeds.provenance if feeds is not None and scheme.calibrated else None,
    }
    return Variant(role, scheme.name, replace(graph, quantization=account), None)
