"""Which execution providers of ONNX Runtime a device stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from .environment import onnxruntime
from .errors import DeviceError, OptionError

Provider: TypeAlias = str | tuple[str, Mapping[str, Any]]


def kind(device: str, providers: Sequence[Provider] | None) -> str:
    """``"cuda"`` or ``"cpu"``: what ``dtype="auto"`` chooses for."""
    if providers is not None:
        return "cuda" if any("CUDA" in name for name, _ in split(providers)) else "cpu"
    if device == "auto":
        return "cuda" if "CUDAExecutionProvider" in onnxruntime().get_available_providers() else "cpu"
    return device.partition(":")[0]


def selected(device: str, providers: Sequence[Provider] | None) -> list[Provider]:
    """The providers to ask for, each known to be in the installed build.

    Raises:
        DeviceError: the installed build lacks one.
    """
    available = onnxruntime().get_available_providers()
    if providers is not None:
        if unknown := [name for name, _ in split(providers) if name not in available]:
            raise DeviceError(f"the installed onnxruntime has no {unknown[0]}; it has {', '.join(available)}")
        return list(providers)
    if kind(device, providers) == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in available:
        raise DeviceError(
            f"device={device!r} needs the GPU build of ONNX Runtime; the one installed has "
            f"{', '.join(available)}: pip uninstall onnxruntime, then pip install 'torchless[gpu]'"
        )
    index = device.partition(":")[2] or "0"
    return [("CUDAExecutionProvider", {"device_id": index}), "CPUExecutionProvider"]


def checked(providers: Any) -> tuple[Provider, ...]:
    """The providers as a tuple.

    Raises:
        OptionError: no list of names or (name, options) pairs.
    """
    listed = tuple(providers) if isinstance(providers, (list, tuple)) else ()
    for provider in listed:
        name, options = provider if isinstance(provider, tuple) and len(provider) == 2 else (provider, {})
        if not isinstance(name, str) or not isinstance(options, Mapping):
            listed = ()
    if not listed:
        raise OptionError(f"providers must be a list of names or (name, options) pairs, not {providers!r}")
    return listed


def split(providers: Sequence[Provider]) -> list[tuple[str, Mapping[str, Any]]]:
    """Each provider's name and options."""
    return [(provider, {}) if isinstance(provider, str) else (provider[0], provider[1]) for provider in providers]
