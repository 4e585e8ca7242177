"""Which execution providers of ONNX Runtime a device stands for, and how CUDA's is set up.

Reference: ONNX Runtime's documentation of the CUDA execution provider, "Configuration Options"; the names are those
that release 1.31 accepts. A release that does not know one of them says so when a session is opened.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

from .environment import onnxruntime
from .errors import DeviceError, OptionError

Provider: TypeAlias = str | tuple[str, Mapping[str, Any]]

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"

DEFAULTS = {
    # Texts and pictures come in many sizes: doubling the arena for each would hold twice the memory that is needed.
    "arena_extend_strategy": "kSameAsRequested",
    # EXHAUSTIVE tries every algorithm anew for each new size of input, which takes seconds.
    "cudnn_conv_algo_search": "HEURISTIC",
    # Products of 10 bits of mantissa differ from float32 by more than answers may differ from transformers'.
    "use_tf32": "0",
}
"""What CUDA is asked for unless ``provider_options`` says otherwise."""


def _flag(value: Any) -> str | None:
    return str(int(value)) if isinstance(value, (bool, int)) and value in (0, 1) else None


def _positive(value: Any) -> str | None:
    return str(value) if type(value) is int and value > 0 else None


def _one_of(*names: str) -> Callable[[Any], str | None]:
    return lambda value: value if value in names else None


_ALGORITHMS, _STRATEGIES = ("EXHAUSTIVE", "HEURISTIC", "DEFAULT"), ("kNextPowerOfTwo", "kSameAsRequested")
_FLAG, _POSITIVE = ("True or False", _flag), ("a positive integer", _positive)
# Option to what it may be, and a function that gives ONNX Runtime's word for it, or None for a value that it cannot be.
_OPTIONS: dict[str, tuple[str, Callable[[Any], str | None]]] = {
    "gpu_mem_limit": ("a positive number of bytes", _positive),
    "arena_extend_strategy": (" or ".join(_STRATEGIES), _one_of(*_STRATEGIES)),
    "cudnn_conv_algo_search": (" or ".join(_ALGORITHMS), _one_of(*_ALGORITHMS)),
    "cudnn_conv_use_max_workspace": _FLAG,
    "cudnn_conv1d_pad_to_nc1d": _FLAG,
    "do_copy_in_default_stream": _FLAG,
    "enable_cudnn": _FLAG,
    "enable_skip_layer_norm_strict_mode": _FLAG,
    "fuse_conv_bias": _FLAG,
    "prefer_nhwc": _FLAG,
    "sdpa_kernel": _POSITIVE,
    "tunable_op_enable": _FLAG,
    "tunable_op_max_tuning_duration_ms": _POSITIVE,
    "tunable_op_tuning_enable": _FLAG,
    "use_ep_level_unified_stream": _FLAG,
    "use_tf32": _FLAG,
}
# Options of ONNX Runtime that are refused, with the reason.
_REFUSED = {
    "device_id": "device='cuda:N' chooses the GPU",
    "enable_cuda_graph": "a captured CUDA graph replays one shape of input at fixed addresses, and inputs here vary",
}


def kind(device: str, providers: Sequence[Provider] | None) -> str:
    """``"cuda"`` or ``"cpu"``: what ``dtype="auto"`` chooses for."""
    if providers is not None:
        return "cuda" if any("CUDA" in name for name, _ in split(providers)) else "cpu"
    if device == "auto":
        return "cuda" if CUDA in onnxruntime().get_available_providers() else "cpu"
    return device.partition(":")[0]


def selected(
    device: str, providers: Sequence[Provider] | None, options: Mapping[str, Any] | None = None
) -> list[Provider]:
    """The providers to ask for, each known to be in the installed build.

    Args:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"auto"``.
        providers: replaces the device.
        options: CUDA's, as :func:`checked_options` returns them.

    Raises:
        DeviceError: the installed build lacks one.
    """
    available = onnxruntime().get_available_providers()
    if providers is not None:
        if unknown := [name for name, _ in split(providers) if name not in available]:
            raise DeviceError(f"the installed onnxruntime has no {unknown[0]}; it has {', '.join(available)}")
        if kind(device, providers) == "cuda":
            _preload()
        return list(providers)
    if kind(device, providers) == "cpu":
        return [CPU]
    if CUDA not in available:
        raise DeviceError(
            f"device={device!r} needs the GPU build of ONNX Runtime; the one installed has "
            f"{', '.join(available)}: pip uninstall onnxruntime, then pip install 'torchless[gpu]'"
        )
    _preload()
    index = device.partition(":")[2] or "0"
    return [(CUDA, {"device_id": index, **DEFAULTS, **(options or {})}), CPU]


@cache
def _preload() -> None:
    """Load CUDA's libraries from the packages that pip installed, where ONNX Runtime itself does not look for them."""
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what is not there, which opening a session tells
        onnxruntime().preload_dlls(msvc=False)


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


def checked_options(options: Any, device: str, providers: Sequence[Provider] | None) -> dict[str, str]:
    """Options of the CUDA execution provider, in ONNX Runtime's words.

    Args:
        options: names and values that a caller gave.
        device: what they are for.
        providers: what replaces the device, where the caller gave it.

    Raises:
        OptionError: no dictionary, an unknown or refused name, a value that an option cannot have, or a device that has
            none of these options.
    """
    if not isinstance(options, Mapping):
        raise OptionError(f"provider_options must be a dictionary, not {options!r}")
    if providers is not None:
        raise OptionError(
            "provider_options and providers contradict each other: give the options in providers, as "
            f"[({CUDA!r}, {dict(options)!r})]"
        )
    if device == "cpu":
        raise OptionError("provider_options are CUDA's, and device is 'cpu'; session_options are for every device")
    found = {}
    for name, value in options.items():
        if name in _REFUSED:
            raise OptionError(f"provider_options cannot have {name!r}: {_REFUSED[name]}")
        if name not in _OPTIONS:
            raise OptionError(f"provider_options has {name!r}, which is none of {', '.join(_OPTIONS)}")
        meaning, word = _OPTIONS[name]
        given = word(value)
        if given is None:
            raise OptionError(f"provider_options[{name!r}] must be {meaning}, not {value!r}")
        found[name] = given
    return found


def split(providers: Sequence[Provider]) -> list[tuple[str, Mapping[str, Any]]]:
    """Each provider's name and options."""
    return [(provider, {}) if isinstance(provider, str) else (provider[0], provider[1]) for provider in providers]
