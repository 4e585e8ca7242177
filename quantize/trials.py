"""Variants that a search tries: made in a working copy of a bundle, which is thrown away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from torchless.bundle import Bundle
from torchless.errors import BundleError, QuantizationError
from torchless.files import inside
from torchless.manifest import FILE_NAME, Manifest

from . import saving
from .calibration import calibrate
from .conversion import convert_role
from .converted import Converted
from .drift import Drift
from .evaluation import Scores, evaluate
from .forced import Forced, continues
from .histogram import Range
from .labelled import Labelled
from .measure import Measured, compare, outputs_drift
from .plans import in_float32
from .samples import Feeds
from .schemes import Scheme
from .staging import Staging
from .static import convert as convert_static
from .static import wanted

# Calls of each graph by which groups of weights are compared.
_FEW = 4


@dataclass(frozen=True)
class Trial:
    """A quantized graph of the working copy.

    Attributes:
        role: which graph.
        scheme: how it was quantized.
        dtype: what the working copy calls it.
        weights: what was quantized, in the order of the graph.
        measured: it beside float32.
    """

    role: str
    scheme: Scheme
    dtype: str
    weights: tuple[str, ...]
    measured: Measured


class Trials:
    """Makes variants of a bundle and measures them.

    Args:
        staging: the working copy.
        feeds: recorded inputs of every graph.
        data: a labelled file; None counts the answers that are float32's instead.
        metrics: those that are computed; the first counts. None takes all of the task's.
        threads: threads inside one operator.
        seconds: how long time is taken for each graph.

    Raises:
        BundleError: a folder that has no manifest.
        QuantizationError: a graph that has no float32 variant.
    """

    def __init__(
        self, staging: Staging, feeds: Feeds, data: Labelled | None, metrics: tuple[str, ...] | None,
        threads: int | None, seconds: float,
    ) -> None:  # fmt: skip
        manifest = Manifest.read(staging.folder)
        if manifest is None:
            raise BundleError(f"a search needs a bundle with {FILE_NAME}: export it with torchless")
        for role, variants in manifest.graphs.items():
            if "fp32" not in variants:
                raise QuantizationError(f"{role} has no fp32 variant to start from; it has {sorted(variants)}")
        self._staging, self._feeds, self._data, self._metrics = staging, feeds, data, metrics
        self._manifest, self._threads, self._seconds = manifest, threads, seconds
        self._number = 0
        self._ranges: dict[tuple[str, str, float], dict[str, Range]] = {}
        self._models: dict[str, ir.Model] = {}
        self.base = Bundle.open(staging.folder, dtype="fp32", threads=threads)
        few = {role: calls[:: max(1, len(calls) // _FEW)][:_FEW] for role, calls in feeds.by_role.items()}
        self._few = Feeds(few, feeds.provenance)
        self._forced = self._few_forced = None
        if continues(self.base):
            self._forced = Forced(self.base, feeds.by_role)
            self._few_forced = Forced(self.base, few)
        self._base_scores = self._scores(self.base)

    @property
    def metric(self) -> str:
        """What is counted."""
        return "the same answers" if self._base_scores is None else self._base_scores.primary.replace("_", " ")

    def make(self, role: str, scheme: Scheme) -> Trial | None:
        """A graph by a scheme, measured; None where it finds nothing to quantize."""
        converted = self._convert(role, scheme)
        if not converted.quantized:
            return None
        dtype = self._write(role, converted)
        found = compare(
            self._staging.folder, {role: dtype}, self._feeds, threads=self._threads, seconds=self._seconds,
            memory=False, forced=self._forced,
        )  # fmt: skip
        return Trial(role, scheme, dtype, _in_order(self._model(role), converted), found[role])

    def make_all(self, roles: Sequence[str], scheme: Scheme) -> dict[str, Trial]:
        """Graphs by a scheme that only all of them together can have, measured; none where one has nothing of it."""
        converted = {role: self._convert(role, scheme) for role in roles}
        if not all(part.quantized for part in converted.values()):
            return {}
        dtypes = {role: self._write(role, part) for role, part in converted.items()}
        found = compare(
            self._staging.folder, dtypes, self._feeds, threads=self._threads, seconds=self._seconds,
            memory=False, forced=self._forced, together=True,
        )  # fmt: skip
        return {
            role: Trial(role, scheme, dtypes[role], _in_order(self._model(role), part), found[role])
            for role, part in converted.items()
        }

    def lost(self, trials: Mapping[str, Trial]) -> float:
        """Points that are lost with these graphs, the others in float32.

        Of the first metric, see :meth:`.evaluation.Scores.lost`; without a labelled file a point is one answer in a
        hundred that is not float32's, or a hundredth of the outputs' cosine where nothing is chosen.
        """
        variant = self._bundle({role: trial.dtype for role, trial in trials.items()})
        scores = self._scores(variant)
        if scores is not None and self._base_scores is not None:
            return scores.lost(self._base_scores)
        found = outputs_drift(self.base, variant, self._feeds, self._forced)
        return 100 * (1 - (found.cosine if found.agreement is None else found.agreement))

    def drift(self, role: str, scheme: Scheme) -> Drift:
        """How far outputs are from float32's on a few inputs when only one graph is quantized."""
        dtype = self._write(role, self._convert(role, scheme))
        found = outputs_drift(self.base, self._bundle({role: dtype}), self._few, self._few_forced)
        self.drop(role, dtype)
        return found

    def drop(self, role: str, dtype: str) -> None:
        """Remove a graph's files."""
        graph = self._manifest.graphs[role].pop(dtype)
        for file in (graph.model, *graph.data):
            inside(self._staging.folder, file.file).unlink()

    def _model(self, role: str) -> ir.Model:
        if role not in self._models:
            path = inside(self._staging.folder, self._manifest.graphs[role]["fp32"].model.file)
            self._models[role] = ir.load(path)
        return self._models[role]

    def _convert(self, role: str, scheme: Scheme) -> Converted:
        """The graph by a scheme; ranges of activations are taken once for all choices of weights."""
        if scheme.name == "fp16":
            scheme = in_float32(self._manifest, role, scheme)
        if scheme.name != "int8-static" or scheme.rest is not None:
            return convert_role(self._model(role), scheme, self._feeds.by_role[role])
        key = (role, scheme.method, scheme.percentile)
        if key not in self._ranges:
            names = wanted(self._model(role), replace(scheme, exclude=()))
            calls = list(map(dict, self._feeds.by_role[role]))
            self._ranges[key] = calibrate(self._model(role), names, calls, scheme.method, scheme.percentile)
        return convert_static(self._model(role), scheme, self._ranges[key])

    def _write(self, role: str, converted: Converted) -> str:
        """Write a graph and list it in the copy's manifest; returns what it is called there."""
        self._number += 1
        dtype = f"trial{self._number}"
        source = self._manifest.graphs[role]["fp32"].model.file
        file = Path(source).with_name(saving.file_name(role, dtype)).as_posix()
        files = saving.save(converted.model, self._staging.folder / file)
        self._manifest.graphs[role][dtype] = saving.spec(self._staging.folder, converted.model, files)
        manifest = self._staging.claim(FILE_NAME)
        manifest.write_text(self._manifest.to_json(), encoding="utf-8")
        return dtype

    def _bundle(self, dtypes: Mapping[str, str]) -> Bundle:
        chosen = dict.fromkeys(self._manifest.graphs, "fp32") | dict(dtypes)
        return Bundle.open(self._staging.folder, dtype=chosen, threads=self._threads)

    def _scores(self, bundle: Bundle) -> Scores | None:
        return None if self._data is None else evaluate(bundle, self._data, self._metrics)


def _in_order(model: ir.Model, converted: Converted) -> tuple[str, ...]:
    """The quantized weights in the order in which the graph uses them."""
    used = [str(value.name) for node in model.graph.all_nodes() for value in node.inputs if value is not None]
    places = {name: place for place, name in reversed(list(enumerate(used)))}
    return tuple(sorted(converted.quantized, key=lambda name: (places.get(name, len(used)), name)))
