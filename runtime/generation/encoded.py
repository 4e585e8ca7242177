"""What a decoder needs of the encoder, in the processor's memory or left in a GPU's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..binding import DeviceArray, Place
from ..session import Array
from .kernels import kernels
from .output import Ints


@dataclass(frozen=True)
class Encoded:
    """What a decoder needs of the encoder.

    Attributes:
        inputs: the decoder graph's inputs by name: the attention mask ``(batch, length)``, and cross keys and values,
            each ``(batch, heads, length, head)``.
        rows: the batch.
    """

    inputs: Mapping[str, Array]
    rows: int

    def select(self, rows: Sequence[int]) -> Encoded:
        """What the encoder made of some of the inputs."""
        places = np.asarray(rows, dtype=np.int64)
        if isinstance(self.inputs, DeviceArrays):
            return Encoded(self.inputs.select(places), len(places))
        return Encoded({name: array[places] for name, array in self.inputs.items()}, len(places))


class DeviceArrays(Mapping[str, Array]):
    """Arrays that were left in the memory of a device, and are copied to the processor's when they are asked for.

    Args:
        arrays: by name; those of NumPy are in the processor's memory already.
    """

    def __init__(self, arrays: Mapping[str, Array | DeviceArray]) -> None:
        self._arrays = dict(arrays)

    def __getitem__(self, name: str) -> Array:
        array = self._arrays[name]
        return array.numpy() if isinstance(array, DeviceArray) else array

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def on(self, name: str, place: Place) -> DeviceArray | None:
        """An array that lies in a memory, as it is; None where it does not."""
        array = self._arrays[name]
        return array if isinstance(array, DeviceArray) and array.place == place else None

    def select(self, rows: Ints) -> DeviceArrays:
        """Some rows of all of them, copied where they lie."""
        return DeviceArrays({name: _rows(array, rows) for name, array in self._arrays.items()})


def resident(inputs: Mapping[str, Array], name: str, place: Place) -> DeviceArray:
    """An array in a memory: the one that was left there, or a copy."""
    found = inputs.on(name, place) if isinstance(inputs, DeviceArrays) else None
    return DeviceArray.of(inputs[name], place) if found is None else found


def _rows(array: Array | DeviceArray, rows: Ints) -> Array | DeviceArray:
    if not isinstance(array, DeviceArray):
        chosen: Array = array[rows]
        return chosen
    # Numbers are copied in pieces of 32 bits, whatever they are.
    size = int(np.prod(array.shape[1:])) * array.dtype.itemsize
    if size % 4:
        return DeviceArray.of(array.numpy()[rows], array.place)
    made = DeviceArray(array.place, (len(rows), *array.shape[1:]), array.dtype.name)
    source = array.part(0, (1, array.shape[0], size // 4), "float32")
    kernels(array.place).take(source, made.part(0, (1, len(rows), size // 4), "float32"), rows)
    return made
