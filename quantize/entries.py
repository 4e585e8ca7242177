"""Quantized variants in a bundle's manifest, with the differences to the recorded references that are accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torchless.bundle import Bundle
from torchless.errors import QuantizationError
from torchless.manifest import FILE_NAME, Manifest, Reference
from torchless.verification import difference

from .recommendation import recommended
from .staging import Staging
from .variant import Variant

# What differences to the recorded references are accepted at the least, and how many times those that were found.
_TOLERANCE = {"fp16": 2e-2, "q8": 0.1, "int8": 1.0, "int8-static": 1.0, "q4": 1.0}
_USUAL, _MARGIN = 1.0, 2.0


def list_variants(staging: Staging, manifest: Manifest | None, made: Sequence[Variant]) -> None:
    """Let the working copy's manifest list variants, so that it can be opened with them."""
    if manifest is not None:
        _write(staging, _listing(manifest, made))


def _listing(manifest: Manifest, made: Sequence[Variant]) -> Manifest:
    graphs = {role: dict(variants) for role, variants in manifest.graphs.items()}
    for variant in made:
        graphs[variant.role][variant.dtype] = variant.graph
    return replace(manifest, graphs=graphs)


def _write(staging: Staging, manifest: Manifest) -> None:
    staging.claim(FILE_NAME).write_text(manifest.to_json(), encoding="utf-8")


def enter(staging: Staging, made: Sequence[Variant], again: Sequence[Variant], run: str | None) -> None:
    """Write the new manifest: the bundle's as it is by now, with the variants and their tolerances.

    Args:
        staging: the working copy.
        made: the new variants.
        again: variants that were there and were measured anew.
        run: what all that was measured now is called; None leaves what ``dtype="auto"`` picks as it is.
    """
    manifest = Manifest.read(staging.folder.parent)
    if manifest is None:
        raise QuantizationError(f"{staging.folder.parent / FILE_NAME} has gone")
    again = [variant for variant in again if variant.dtype in manifest.graphs.get(variant.role, ())]
    manifest = _listing(manifest, [*again, *made])
    _write(staging, manifest)
    opened = Bundle(staging.folder)
    dtypes = list(dict.fromkeys(variant.dtype for variant in made))
    references = tuple(_tolerating(opened, reference, dtypes) for reference in manifest.references)
    manifest = replace(manifest, references=references)
    if run is not None:
        names = [(variant.role, variant.dtype) for variant in made]
        manifest = replace(manifest, dtype=recommended(manifest, names, run))
    _write(staging, manifest)


def _tolerating(bundle: Bundle, reference: Reference, names: Sequence[str]) -> Reference:
    """The reference with a tolerance for each new variant: a usual one, or twice the difference that is found now."""
    roles = list(bundle.dtypes) if "forced" in reference.inputs else [reference.role]
    tolerance = dict(reference.tolerance)
    for name in names:
        if any(name in bundle.dtypes[role] for role in roles):
            worst = _MARGIN * difference(bundle, reference, name)
            tolerance[name] = float(f"{max(_TOLERANCE.get(name, _USUAL), worst):.2g}")
    return replace(reference, tolerance=tolerance)
