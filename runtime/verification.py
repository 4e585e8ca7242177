"""``torchless verify``: a bundle's files against their hashes, its graphs against recorded outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .bundle import Bundle
from .errors import BundleError, IntegrityError
from .files import check_size, inside, sha256
from .manifest import FILE_NAME, Reference
from .session import Array


def verify(
    bundle: Bundle, dtypes: Mapping[str, Sequence[str]], progress: Callable[[str], None] | None
) -> list[tuple[str, float, float]]:
    """Verify the variants of a bundle's graphs; see :meth:`Bundle.verify`.

    Args:
        bundle: the opened bundle.
        dtypes: the variants to check by role.
        progress: called with a line before each check.
    """
    manifest = bundle.manifest
    if manifest is None:
        raise BundleError(f"{bundle.folder} has no {FILE_NAME} to verify against")
    report = progress or (lambda line: None)
    graphs = [manifest.graphs[role][dtype] for role, chosen in dtypes.items() for dtype in chosen]
    for file in (*manifest.files, *(file for graph in graphs for file in (graph.model, *graph.data))):
        report(f"hashing {file.file}")
        check_size(bundle.folder, file)
        if sha256(inside(bundle.folder, file.file)) != file.sha256:
            raise IntegrityError(f"{bundle.folder / file.file} was changed: its SHA-256 is not the manifest's")
    results = []
    for reference in manifest.references:
        if reference.role not in dtypes:
            raise BundleError(f"a reference of {bundle.folder}: it has no graph {reference.role!r}")
        for dtype in dict.fromkeys(dtype for role in _graphs(bundle, reference) for dtype in dtypes[role]):
            report(f"replaying {reference.role} {dtype}")
            results.append(_replay(bundle, reference, dtype))
    return results


def _replay(bundle: Bundle, reference: Reference, dtype: str) -> tuple[str, float, float]:
    try:
        worst, tolerance = difference(bundle, reference, dtype), float(reference.tolerance[dtype])
    except BundleError:
        raise
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BundleError(f"a malformed reference of {reference.role} in {bundle.folder}: {error!r}") from error
    if not worst <= tolerance:
        raise IntegrityError(
            f"{reference.role} ({dtype}) of {bundle.folder} differs from the recorded outputs by {worst:.3g}; "
            f"the tolerance is {tolerance:.3g}"
        )
    return f"{reference.role} {dtype}", worst, tolerance


def replay(bundle: Bundle, reference: Reference) -> dict[str, Array]:
    """What a bundle's graphs give for recorded inputs, by output name."""
    feeds = {name: _array(content) for name, content in reference.inputs.items()}
    if "forced" in feeds:
        return {"logits": _forced_logits(bundle, feeds)}
    return bundle.session(reference.role).run(feeds, list(reference.outputs))


def difference(bundle: Bundle, reference: Reference, dtype: str) -> float:
    """The largest difference between a graph's outputs and those recorded; NaN where an output is."""
    return _apart(replay(_variant(bundle, reference, dtype), reference), reference)


def _apart(outputs: Mapping[str, Array], reference: Reference) -> float:
    """The largest difference between outputs and those recorded, as a share of ``1 + |recorded|``."""
    worst = 0.0
    for name, content in reference.outputs.items():
        found = outputs[name]
        if list(found.shape) != list(content["shape"]):
            raise IntegrityError(f"{name} has shape {found.shape}; {content['shape']} was recorded")
        indices = content.get("indices")
        values = found.ravel() if indices is None else found.ravel()[indices]
        recorded = np.asarray(content["values"], dtype=np.float64)
        if values.shape != recorded.shape:
            raise ValueError(f"{recorded.size} values of {name} where there are {values.size}")
        with np.errstate(invalid="ignore"):
            differences = np.abs(values - recorded) / (1 + np.abs(recorded))
        differences[values == recorded] = 0.0  # equal infinities too
        worst = float(np.maximum(worst, np.max(differences, initial=0.0)))  # which keeps NaN
    return worst


def _variant(bundle: Bundle, reference: Reference, dtype: str) -> Bundle:
    """The bundle with a variant of the graphs that answer a reference, and in float32 those that lack it."""
    chosen = {role: "fp32" if "fp32" in variants else "auto" for role, variants in bundle.dtypes.items()}
    chosen |= {role: dtype for role in _graphs(bundle, reference) if dtype in bundle.dtypes[role]}
    return Bundle(bundle.folder, bundle.settings, chosen)


def _graphs(bundle: Bundle, reference: Reference) -> Sequence[str]:
    """The graphs that a reference is replayed on: its own, or all that generate together."""
    return list(bundle.dtypes) if "forced" in reference.inputs else [reference.role]


def _forced_logits(bundle: Bundle, feeds: Mapping[str, Array]) -> Array:
    """Logits of a generating model that reads prompts and then forced tokens, ``(rows, 1 + steps, vocab)``."""
    generator = bundle.generator()
    encoded = None
    if generator.is_encoder_decoder:
        inputs = {name: array for name, array in feeds.items() if name not in _DECODED}
        encoded = generator.encode(features=inputs)
    lengths, forced = feeds["prompt_mask"].sum(axis=1), feeds["forced"]
    state = generator.new_cache(len(lengths), int(lengths.max()) + forced.shape[1], encoded)
    logits = [state.prefill(feeds["prompt"], lengths).copy()]
    logits += [state.step(tokens).copy() for tokens in forced.T]
    return np.stack(logits, axis=1)


# What a decoder reads, among the inputs of a reference; the encoder reads the others.
_DECODED = ("prompt", "prompt_mask", "forced")


def _array(content: Mapping[str, Any]) -> Array:
    values = np.asarray(content["values"], dtype=content["dtype"])
    return np.resize(values, content["shape"]) if content.get("repeated") else values.reshape(content["shape"])
