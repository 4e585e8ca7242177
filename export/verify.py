"""Comparing an exported graph with the checkpoint, and recording what it should answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchless import Session, SessionError, Settings
from torchless.errors import ExportError, VerificationError
from torchless.manifest import Reference

from .checkpoint import Checkpoint
from .readers import Inputs, Outputs, reader_for

Case = tuple[Inputs, Outputs]
"""Inputs, and the checkpoint's outputs for them."""

# Largest accepted |graph - torch| - tolerance * |torch|. fp16 has 11 significant bits (5e-4 a rounding); some tens
# of roundings a layer add up to about 1e-2.
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2}
# int8 graphs answer a little differently, here and there much: the root mean square of the differences is what counts,
# as a share of the outputs' own spread; single values of a recorded reference may be off by as much as they are large.
DRIFT = 0.5
REFERENCE_TOLERANCE = {**TOLERANCE, "int8": 1.0}

_MAX_VALUES = 256
_DIGITS = 7
# Numbers of an input that are written down: all, or those that it repeats: a prime, which divides no axis.
_MAX_INPUT, _PERIOD, _INPUT_DECIMALS = 8192, 1021, 3


def cases(checkpoint: Checkpoint, max_length: int | None) -> list[Case]:
    """Inputs of several shapes with padded rows, and the checkpoint's outputs for them.

    Raises:
        ExportError: torch cannot run the checkpoint on one of them.
    """
    reader = reader_for(checkpoint)
    found = []
    for batch, length in reader.cases(checkpoint, max_length):
        inputs = reader.sample(checkpoint, batch, length, seed=1)
        try:
            found.append((inputs, reader.run(checkpoint, inputs)))
        except (RuntimeError, IndexError, ValueError) as error:
            if length > reader.short:
                name = type(checkpoint.model).__name__
                raise ExportError(f"torch cannot run {name} at batch {batch}, length {length}: {error}") from error
    return found


def verify(
    path: Path,
    dtype: str,
    checkpoint: Checkpoint,
    expected: list[Case],
    device: str = "cpu",
) -> float:
    """Run the graph on every case and compare with torch at the attended positions.

    Returns:
        The largest difference as a share of the tolerance: 1 is the limit.

    Raises:
        VerificationError: a difference above the tolerance, a wrong shape, or a graph that does not run.
        DeviceError: ONNX Runtime cannot use the device.
    """
    try:
        session = Session(path, Settings(device=device))
        return max(_compare(session, path.name, dtype, checkpoint, *case) for case in expected)
    except SessionError as error:
        raise VerificationError(str(error)) from error


def reference(checkpoint: Checkpoint, role: str, max_length: int | None) -> Reference:
    """Small inputs with a padded row and the checkpoint's outputs, for the manifest."""
    reader = reader_for(checkpoint)
    inputs = reader.sample(checkpoint, *reader.reference(max_length), seed=2)
    feeds = {name: feed(array) for name, array in inputs.items()}
    inputs = {name: array for name, (array, _) in feeds.items()}
    values = reader.run(checkpoint, inputs)
    return Reference(
        role=role,
        inputs={name: recorded for name, (_, recorded) in feeds.items()},
        outputs={
            output.name: sampled(values[output.name], reader.attended(checkpoint, output, inputs))
            for output in checkpoint.recipe.outputs
        },
        tolerance=dict(REFERENCE_TOLERANCE),
    )


def share(found: NDArray[np.float32], wanted: NDArray[np.float32], dtype: str, what: str, where: str) -> float:
    """How much of the tolerance the differences between a graph's outputs and torch's use up: 1 is the limit.

    Raises:
        VerificationError: more than that, or another shape.
    """
    if found.shape != wanted.shape:
        raise VerificationError(f"{what} has shape {found.shape}, torch's {wanted.shape}, {where}")
    difference = np.abs(found.astype(np.float64) - wanted)
    if dtype == "int8":
        limit = f"root mean square {DRIFT} of the values' spread"
        worst = float(np.sqrt(np.square(difference).mean()) / (DRIFT * max(float(wanted.std()), 1e-3)))
    else:
        tolerance = TOLERANCE[dtype]
        limit = f"tolerance {tolerance:g} + {tolerance:g} of the value"
        worst = float((difference / (tolerance + tolerance * np.abs(wanted))).max(initial=0.0))
    if not worst <= 1:  # also where a value is not a number
        raise VerificationError(f"{what} differs from torch by up to {difference.max():.3g} {where} ({limit})")
    return worst


def _compare(
    session: Session,
    name: str,
    dtype: str,
    checkpoint: Checkpoint,
    inputs: Inputs,
    expected: Outputs,
) -> float:
    reader, shape = reader_for(checkpoint), next(iter(inputs.values())).shape
    where = f"at batch {shape[0]}, length {shape[1]}" if len(shape) == 2 else f"at shape {shape}"
    try:
        results = session.run(inputs)
    except SessionError as error:
        raise VerificationError(f"the graph does not run {where}: {error}") from error
    worst = 0.0
    for output in checkpoint.recipe.outputs:
        actual, wanted = results[output.name], expected[output.name]
        attended = reader.attended(checkpoint, output, inputs)
        if attended is not None and actual.shape == wanted.shape:
            actual, wanted = actual[attended], wanted[attended]
        worst = max(worst, share(actual, wanted, dtype, f"{name}: {output.name}", where))
    return worst


def sampled(array: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> dict[str, Any]:
    """Record an array, or evenly spaced elements at attended positions where it is large or has padded ones."""
    positions = np.arange(array.size).reshape(array.shape)
    kept: NDArray[np.int64] = positions.ravel() if mask is None else positions[mask].ravel()
    if kept.size == array.size <= _MAX_VALUES:
        return record(array)
    count = min(_MAX_VALUES, kept.size)
    indices = kept[np.linspace(0, kept.size - 1, count).round().astype(np.int64)]
    return record(array, indices)


def feed(array: NDArray[Any]) -> tuple[NDArray[Any], dict[str, Any]]:
    """An input like ``array`` of which the manifest can hold every number, and its record.

    Sounds and images are rounded, and large ones repeat their beginning.
    """
    if array.dtype.kind != "f":
        return array, record(array)
    large = array.size > _MAX_INPUT
    values = array.ravel()[: _PERIOD if large else None].round(_INPUT_DECIMALS)
    repeated = np.resize(values, array.shape)
    return repeated, {**record(values), "shape": list(array.shape), **({"repeated": True} if large else {})}


def record(array: NDArray[Any], indices: NDArray[np.int64] | None = None) -> dict[str, Any]:
    """A tensor as the manifest holds it; floats have 7 significant digits."""
    values = (array.ravel() if indices is None else array.ravel()[indices]).tolist()
    if array.dtype.kind == "f":
        values = [float(f"{value:.{_DIGITS}g}") for value in values]
    record = {"dtype": array.dtype.name, "shape": list(array.shape), "values": values}
    return record if indices is None else {**record, "indices": indices.tolist()}
