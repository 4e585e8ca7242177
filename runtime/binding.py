"""Arrays bound to a graph's inputs and outputs, in the memory of the processor or of a GPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .environment import onnxruntime
from .errors import OptionError, SessionError

Array: TypeAlias = NDArray[Any]


class Place(NamedTuple):
    """The memory that holds a tensor.

    Attributes:
        kind: ``"cpu"`` or ``"cuda"``.
        number: which GPU.
    """

    kind: str = "cpu"
    number: int = 0


class DeviceArray:
    """An array in the memory of a device, whose address stays; its contents are anything at first.

    Args:
        place: where.
        shape: its axes.
        dtype: NumPy's name of it.

    Raises:
        OptionError: the memory is not there.
    """

    def __init__(self, place: Place, shape: Sequence[int], dtype: str) -> None:
        self.place, self.shape, self.dtype = place, tuple(shape), np.dtype(dtype)
        try:
            self._value = onnxruntime().OrtValue.ortvalue_from_shape_and_type(list(shape), self.dtype, *place)
        except runtime_errors() as error:
            size = math.prod(self.shape) * self.dtype.itemsize
            raise OptionError(
                f"{size / 2**30:.1f} GiB cannot be had on {place.kind}:{place.number}: ask for fewer beams, sequences "
                f"or tokens ({error})"
            ) from error
        self.address = int(self._value.data_ptr())

    @classmethod
    def of(cls, array: Array, place: Place) -> DeviceArray:
        """A copy of an array there."""
        made = cls(place, array.shape, array.dtype.name)
        made._value.update_inplace(np.ascontiguousarray(array))
        return made

    @classmethod
    def holding(cls, value: Any, place: Place, dtype: str) -> DeviceArray:
        """What ONNX Runtime made there."""
        made = object.__new__(cls)
        made.place, made.shape, made.dtype = place, tuple(value.shape()), np.dtype(dtype)
        made._value, made.address = value, int(value.data_ptr())
        return made

    def part(self, offset: int, shape: Sequence[int], dtype: str | None = None) -> DeviceArray:
        """What begins ``offset`` bytes behind the address, in the same memory, as another array."""
        view = object.__new__(DeviceArray)
        view.place, view.shape, view.dtype = self.place, tuple(shape), np.dtype(dtype or self.dtype)
        view._value, view.address = self._value, self.address + offset
        return view

    def numpy(self) -> Array:
        """A copy in the processor's memory; not of a part."""
        return np.array(self._value.numpy())


class Binding:
    """Arrays that a graph reads and writes in place, call after call.

    The arrays of the processor must be C-contiguous and of the declared dtype. Where the graph works in the same
    memory, it works in the arrays themselves; otherwise an input is copied when it is bound, an output after each call.

    Args:
        name: the graph's name, for messages.
        session: ONNX Runtime's session.
    """

    def __init__(self, name: str, session: Any) -> None:
        self._name = name
        self._session = session
        self._binding = session.io_binding()
        self._arrays: dict[str, Any] = {}  # an OrtValue does not keep the array that it lies on

    def bind_input(self, name: str, array: Array | DeviceArray) -> None:
        """Let the graph read an input from the array."""
        if isinstance(array, DeviceArray):
            self._binding.bind_input(name, *array.place, array.dtype, list(array.shape), array.address)
            self._arrays[name] = array
        else:
            self._binding.bind_ortvalue_input(name, self._value(name, array))

    def bind_output(self, name: str, array: Array | DeviceArray) -> None:
        """Let the graph write an output to the array."""
        if isinstance(array, DeviceArray):
            self._binding.bind_output(name, *array.place, array.dtype, list(array.shape), array.address)
            self._arrays[name] = array
        else:
            self._binding.bind_ortvalue_output(name, self._value(name, array))

    def bind_inplace(self, source: str, target: str, array: Array | DeviceArray) -> None:
        """Let one array be an input and, after the call, an output; the graph must work in the array's memory."""
        if isinstance(array, DeviceArray):
            self.bind_input(source, array)
            self.bind_output(target, array)
        else:
            value = self._value(source, array)
            self._binding.bind_ortvalue_input(source, value)
            self._binding.bind_ortvalue_output(target, value)

    def bind_new_output(self, name: str, place: Place) -> None:
        """Let the graph leave an output in new memory there; see :meth:`outputs`."""
        self._binding.bind_output(name, *place)

    def outputs(self) -> list[Any]:
        """ONNX Runtime's values of all outputs that were bound, in their order."""
        return list(self._binding.get_outputs())

    def run(self) -> None:
        """Run the graph on what is bound.

        Raises:
            SessionError: the graph failed.
        """
        try:
            self._session.run_with_iobinding(self._binding)
        except runtime_errors() as error:
            raise SessionError(f"{self._name} failed: {error}") from error

    def _value(self, name: str, array: Array) -> Any:
        value = onnxruntime().OrtValue.ortvalue_from_numpy(array)
        self._arrays[name] = array, value
        return value


@cache
def runtime_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: its exception classes have no public base but Exception."""
    state = onnxruntime().capi.onnxruntime_pybind11_state
    names = (
        "EPFail", "EngineError", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "ModelLoaded",
        "NoModel", "NoSuchFile", "NotImplemented", "RuntimeException",
    )  # fmt: skip
    own = (getattr(state, name) for name in names if hasattr(state, name))
    return (*own, MemoryError, RuntimeError, ValueError)
