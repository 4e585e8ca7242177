"""What a quantization is asked for, checked before anything is made: a scheme, a source and a file for each graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from typing import Any

import onnx_ir as ir
from google.protobuf.message import DecodeError

from torchless.bundle import Bundle
from torchless.errors import BundleNotFoundError, OptionError, QuantizationError
from torchless.files import check_size, inside
from torchless.manifest import Manifest

from . import hardware
from .schemes import OPTIONS, SCHEMES, Scheme

Choice = str | Scheme | Mapping[str, str | Scheme]
"""A scheme for all graphs, or by role for some of them; by its name or ready-made."""

_QUANTIZED = (
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulInteger",
    "MatMulIntegerToFloat", "ConvInteger", "QLinearMatMul", "QLinearConv", "QGemm", "QAttention", "MatMulNBits",
    "MatMulBnb4", "GatherBlockQuantized",
)  # fmt: skip

# Split and Unsqueeze have taken sizes and axes as inputs since then.
_OLDEST = 13


@dataclass(frozen=True)
class Plan:
    """What becomes of one graph.

    Attributes:
        role: which graph.
        scheme: how it is quantized.
        source: its float32 file.
    """

    role: str
    scheme: Scheme
    source: Path


def local_folder(bundle: str | Path) -> Path:
    """The folder of a bundle on this machine.

    Raises:
        BundleNotFoundError: there is none.
    """
    folder = Path(bundle).expanduser()
    if not folder.is_dir():
        raise BundleNotFoundError(f"no folder {bundle}: only a bundle on this machine can be quantized, not a hub id")
    return folder.resolve()


def plans(
    bundle: Bundle, choice: Choice | Sequence[Choice], options: Mapping[str, Any], overwrite: bool
) -> list[list[Plan]]:
    """What is to be made of the graphs; those of one choice run together.

    Args:
        bundle: the opened bundle.
        choice: one scheme for all graphs, or by role for some; or several such choices.
        options: of the schemes that are given by name; each must belong to one of them.
        overwrite: whether variants that are there are replaced.

    Raises:
        OptionError: an unknown scheme, role or option, or a variant that is there, or is chosen twice.
        QuantizationError: a graph that has no float32 variant.
    """
    choices = [choice] if isinstance(choice, (str, Scheme, Mapping)) else choice
    if not isinstance(choices, Sequence):
        raise OptionError(f"scheme must be a name, names by role, or a list of such choices, not {choice!r}")
    wanted = [
        dict(choice) if isinstance(choice, Mapping) else dict.fromkeys(bundle.dtypes, choice) for choice in choices
    ]
    if not wanted or not all(wanted):
        raise OptionError("no scheme: choose one or more")
    for roles in wanted:
        if not set(roles) <= set(bundle.dtypes):
            raise OptionError(f"scheme by role {sorted(map(str, roles))}: the graphs are {sorted(bundle.dtypes)}")
    _check_options([scheme for roles in wanted for scheme in roles.values()], options)
    made = [[_plan(bundle, role, _scheme(name, options), overwrite) for role, name in w.items()] for w in wanted]
    names = [(plan.role, plan.scheme.name) for group in made for plan in group]
    if len(set(names)) < len(names):
        raise OptionError(f"a scheme is chosen twice for one graph: {names}")
    for group in made:
        _check_halves(bundle, group)
    return made


def load(plan: Plan) -> ir.Model:
    """The float32 graph.

    Raises:
        QuantizationError: it cannot be read, is quantized already, or is written in operators that are too old.
    """
    try:
        model = ir.load(plan.source)
    except (DecodeError, ValueError, KeyError) as error:
        raise QuantizationError(f"{plan.source} is not an ONNX graph: {error}") from error
    found = next((node.op_type for node in model.graph.all_nodes() if node.op_type in _QUANTIZED), None)
    if found is not None:
        raise QuantizationError(f"{plan.source} is already quantized: it has {found}. Start from the float32 graph")
    if any(value.dtype == ir.DataType.FLOAT16 for value in model.graph.initializers.values()):
        raise QuantizationError(f"{plan.source} has weights in float16. Start from the float32 graph")
    opset = model.graph.opset_imports.get("", _OLDEST)
    if plan.scheme.name.startswith("int8") and opset < _OLDEST:
        raise QuantizationError(
            f"{plan.source} is of operator set {opset}, and {plan.scheme.name} needs {_OLDEST}: export it again"
        )
    return model


def in_float32(manifest: Manifest, role: str, scheme: Scheme) -> Scheme:
    """A scheme of float16 that leaves what the export says must stay in float32."""
    kept = manifest.provenance.get("float32", {}).get(role, ())
    return replace(scheme, exclude=tuple(dict.fromkeys((*scheme.exclude, *map(escape, kept)))))


def _check_halves(bundle: Bundle, group: Sequence[Plan]) -> None:
    halves = [plan for plan in group if plan.scheme.name == "fp16"]
    if halves and len(halves) < len(bundle.dtypes):
        raise OptionError(f"fp16 is for all of {sorted(bundle.dtypes)} or none: they hand each other caches in float16")


def _check_options(schemes: Sequence[str | Scheme], options: Mapping[str, Any]) -> None:
    """Refuse options that none of the schemes has; each scheme refuses wrong values."""
    names = [name for name in schemes if not isinstance(name, Scheme)]
    for name in names:
        Scheme.checked(name)
    for option in options:
        if not any(option in OPTIONS[name] for name in names):
            owners = [name for name in SCHEMES if option in OPTIONS[name]]
            known = f"it belongs to {', '.join(owners)}" if owners else "no scheme has it"
            raise OptionError(
                f"option {option!r} with {', '.join(dict.fromkeys(names)) or 'a ready-made scheme'}: {known}"
            )


def _scheme(scheme: str | Scheme, options: Mapping[str, Any]) -> Scheme:
    """The scheme with those options that it has, and the machine's choice of range."""
    if isinstance(scheme, Scheme):
        scheme = scheme.valid()
    else:
        scheme = Scheme.checked(scheme, **{name: value for name, value in options.items() if name in OPTIONS[scheme]})
    if "reduce_range" in OPTIONS[scheme.name] and scheme.reduce_range is None:
        scheme = replace(scheme, reduce_range=hardware.saturates())
    return scheme


def _plan(bundle: Bundle, role: str, scheme: Scheme, overwrite: bool) -> Plan:
    variants = bundle.dtypes[role]
    if "fp32" not in variants:
        raise QuantizationError(
            f"{role} of {bundle.folder} is already quantized or half precision: it has {variants} and no fp32 "
            "to start from; export it again with --dtype fp32"
        )
    if scheme.name in variants and not overwrite:
        raise OptionError(f"{role} already has a variant {scheme.name}: overwrite=True (--overwrite) replaces it")
    if bundle.manifest is not None:
        graph = bundle.manifest.graphs[role]["fp32"]
        for file in (graph.model, *graph.data):
            check_size(bundle.folder, file)
        scheme = in_float32(bundle.manifest, role, scheme) if scheme.name == "fp16" else scheme
    return Plan(role, scheme, inside(bundle.folder, bundle.graph_file(role, "fp32")))
