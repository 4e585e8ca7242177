"""Sessions of ONNX Runtime: devices, threads, and feeding a graph what it declares."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import optimized, providers
from .binding import Array as Array
from .binding import Binding, DeviceArray, Place, runtime_errors
from .callers import Callers
from .environment import cpu_count, onnxruntime, release_memory
from .errors import (
    BundleNotFoundError,
    DeviceError,
    InputError,
    OptionError,
    SessionError,
    user_stacklevel,
)
from .manifest import TensorSpec
from .settings import Settings as Settings

# The sum and GELU in one kernel take longer than one after the other: BERT-base in float32 4 % at 1 x 16.
_SLOWER_ON_CPU = ["BiasGeluFusion"]

# Microseconds that idle threads wait in a loop for work. ONNX Runtime's own wait (16 ms on an AMD EPYC) takes a
# processor from who computes next: behind an encoder, T5's decoder, whose first token then took 26 ms instead of 14.
# Without any, the threads would have to be woken for every operator.
_SPIN = "session.intra_op.spin_duration_us", 1000

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}


class Session:
    """An ONNX graph, loaded and ready to run.

    Running is safe from many threads; where an optimized graph is used, :mod:`torchless.callers` says how they share
    it. Pickling keeps the path and settings, and opens the graph again.

    Args:
        path: the ``.onnx`` file.
        settings: device, threads, providers, session options.
        digest: SHA-256 of the file and its data where it is known; an optimized graph is found by it.

    Attributes:
        inputs: what the graph must be given.
        outputs: what it gives.
        optional: names of inputs that have defaults.
        optimized: whether what was opened is the optimized form that was kept, see :mod:`torchless.optimized`.

    Raises:
        BundleNotFoundError: no such file.
        DeviceError: the device or provider cannot be had.
        SessionError: ONNX Runtime refuses the graph.

    Example:
        >>> session = Session(Path("models/sst2/onnx/model.onnx"))      # doctest: +SKIP
        >>> session.run({"input_ids": np.array([[101, 102]])})["logits"].shape      # doctest: +SKIP
        (1, 2)
    """

    def __init__(self, path: Path, settings: Settings | None = None, digest: str | None = None) -> None:
        self.path = Path(path)
        self._digest = digest
        self.settings = settings or Settings()
        if not self.path.is_file():
            raise BundleNotFoundError(f"no graph at {self.path}")
        self._session, reopen = _open(self.path, self.settings, digest)
        self.optimized = reopen is not None
        threads = self._session.get_session_options().intra_op_num_threads
        self._callers = Callers(self._session, max(threads, cpu_count()), reopen if threads > 1 else None)
        self.inputs = tuple(map(_spec, self._session.get_inputs()))
        self.outputs = tuple(map(_spec, self._session.get_outputs()))
        self.optional = frozenset(node.name for node in self._session.get_overridable_initializers())
        self._dtypes = {spec.name: np.dtype(spec.dtype) for spec in self.inputs}
        self._output_names = [spec.name for spec in self.outputs]

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        """Run the graph once.

        Args:
            feeds: arrays by input name. Names that the graph does not declare are dropped; arrays are cast to the
                declared dtype. A missing ``attention_mask`` is all ones, missing ``token_type_ids`` are all zeros.
            outputs: names of the wanted outputs; None for all.

        Returns:
            Arrays by output name.

        Raises:
            InputError: an input is missing or no array of numbers, or the graph has no such output.
            SessionError: the graph failed on these inputs.
        """
        names = self._output_names if outputs is None else list(outputs)
        given = self._feed(feeds)
        if unknown := set(names) - set(self._output_names):
            raise InputError(f"{self.path.name} has no output {sorted(unknown)}; it has {self._output_names}")
        try:
            with self._callers.session() as session:
                return dict(zip(names, session.run(names, given), strict=True))
        except runtime_errors() as error:
            shapes = {name: value.shape for name, value in given.items()}
            raise SessionError(f"{self.path.name} failed on inputs of shapes {shapes}: {error}") from error

    def prepare(self, callers: int) -> None:
        """Open now what so many concurrent callers will use, rather than in the middle of a call.

        Only a graph in its optimized form has something to open: see :mod:`torchless.callers`.

        Args:
            callers: how many calls will run at once.
        """
        self._callers.prepare(callers)

    def run_on_device(self, feeds: Mapping[str, Array]) -> dict[str, DeviceArray]:
        """Run the graph once, as :meth:`run` does, and leave the outputs in the memory in which they were made."""
        binding = self.binding()
        for name, array in self._feed(feeds).items():
            binding.bind_input(name, array)
        places = {spec.name: self.place(spec.name) for spec in self.outputs}
        for name, place in places.items():
            binding.bind_new_output(name, place)
        binding.run()
        return {
            spec.name: DeviceArray.holding(value, places[spec.name], spec.dtype)
            for spec, value in zip(self.outputs, binding.outputs(), strict=True)
        }

    def _feed(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        found: dict[str, Array] = {}
        for name, dtype in self._dtypes.items():
            value = feeds.get(name)
            if value is None:
                value = self._default(name, feeds)
            try:
                found[name] = np.asarray(value, dtype=dtype, order="C")
            except (OverflowError, TypeError, ValueError) as error:
                raise InputError(f"the input {name!r} of {self.path.name} cannot be made {dtype}: {error}") from error
        return found

    def _default(self, name: str, feeds: Mapping[str, Array]) -> Array:
        if "input_ids" in feeds and name == "attention_mask":
            return np.ones_like(feeds["input_ids"])
        if "input_ids" in feeds and name == "token_type_ids":
            return np.zeros_like(feeds["input_ids"])
        raise InputError(f"{self.path.name} needs the input {name!r}; it was given {sorted(feeds)}")

    def binding(self) -> Binding:
        """Arrays bound to the graph's inputs and outputs, for calls that follow each other without copies."""
        return Binding(self.path.name, self._session)

    def place(self, name: str) -> Place:
        """The memory in which the graph reads an input, or leaves an output."""
        for specs, found in (
            (self.inputs, self._session.get_input_memory_infos()),
            (self.outputs, self._session.get_output_memory_infos()),
        ):
            for spec, memory in zip(specs, found, strict=True):
                if spec.name == name:
                    return Place("cuda", memory.device_id) if memory.name == "Cuda" else Place()
        return Place()  # an input that has a default is not listed

    @property
    def providers(self) -> list[str]:
        """The execution providers in use, first choice first."""
        return list(self._session.get_providers())

    def __reduce__(self) -> tuple[type[Session], tuple[Path, Settings, str | None]]:
        return Session, (self.path, self.settings, self._digest)


def _open(path: Path, settings: Settings, digest: str | None) -> tuple[Any, Callable[[], Any] | None]:
    """ONNX Runtime's session; where it is of the graph's optimized form, what opens that again with one thread."""
    selected = providers.selected(settings.device, settings.providers, settings.provider_options)
    on_cpu = [name for name, _ in providers.split(selected)] == [providers.CPU]
    kept = settings.optimized if on_cpu else False
    disabled = _SLOWER_ON_CPU if on_cpu else []
    last: tuple[Path, Mapping[str, Any] | None] = path, None

    def load(graph: Path, more: Mapping[str, Any] | None = None) -> Any:
        nonlocal last
        last = graph, more
        # Its own fallback would change the device in the middle of a request, and print to standard output.
        session = onnxruntime().InferenceSession(
            str(graph),
            _session_options(settings, more),
            providers=selected,
            enable_fallback=0,
            disabled_optimizers=disabled,
        )
        session.disable_fallback()
        return session

    try:
        session = optimized.open_session(path, digest, kept, settings.session_options or {}, load, disabled)
    except OptionError:
        raise
    except runtime_errors() as error:
        raise SessionError(f"ONNX Runtime cannot load {path}: {error}") from error
    release_memory()
    missing = [name for name, _ in providers.split(selected) if name not in session.get_providers()]
    if missing and settings.device != "auto":
        raise DeviceError(
            f"{missing[0]} could not start (see ONNX Runtime's message above: usually a CUDA or cuDNN library that "
            "is missing or of another version, which pip install 'onnxruntime-gpu[cuda,cudnn]' brings); the session "
            f"would have run on {session.get_providers()[0]}"
        )
    if missing:
        warnings.warn(
            f"device='auto': {missing[0]} could not start, running {path.name} on the CPU", stacklevel=user_stacklevel()
        )
    graph, more = last
    if graph == path:
        return session, None

    def reopen() -> Any:
        alone = load(graph, {**(more or {}), "intra_op_num_threads": 1})
        release_memory()
        return alone

    return session, reopen


def _session_options(settings: Settings, more: Mapping[str, Any] | None = None) -> Any:
    options = onnxruntime().SessionOptions()
    options.intra_op_num_threads = settings.threads or cpu_count()
    options.log_severity_level = 3
    # A plan of memory is kept for every new shape of the inputs, which vary here: it only grows.
    options.enable_mem_pattern = False
    options.add_session_config_entry(_SPIN[0], str(_SPIN[1]))
    for name, value in {**(settings.session_options or {}), **(more or {})}.items():
        if "." in name:
            options.add_session_config_entry(name, str(value))
        elif hasattr(options, name):
            try:
                setattr(options, name, value)
            except (AttributeError, TypeError) as error:
                raise OptionError(f"session_options[{name!r}] cannot be {value!r}") from error
        else:
            raise OptionError(f"session_options has {name!r}, which onnxruntime.SessionOptions does not know")
    return options


def _spec(node: Any) -> TensorSpec:
    dtype = _DTYPES.get(node.type)
    if dtype is None:
        raise SessionError(f"input or output {node.name!r} has type {node.type}, which torchless does not handle")
    return TensorSpec(node.name, dtype, tuple(-1 if dim is None else dim for dim in node.shape))
