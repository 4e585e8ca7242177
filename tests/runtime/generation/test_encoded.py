"""What an encoder makes, left in a device's memory, which is here the processor's."""

import numpy as np
import pytest

from torchless import Bundle
from torchless.binding import DeviceArray, Place
from torchless.generation import Encoded, decoder, encoded
from torchless.generation import generator as generators
from torchless.generation.device import DeviceMemory
from torchless.generation.encoded import DeviceArrays, resident

from ..generation_factories import make_seq2seq

CPU = Place()
KEYS = np.arange(24, dtype=np.float16).reshape(3, 2, 2, 2)
ODD = np.arange(9, dtype=np.float16).reshape(3, 1, 3, 1)
MASK = np.array([[1, 1], [1, 0], [1, 1]])


@pytest.fixture
def arrays():
    return DeviceArrays({"mask": MASK, "keys": DeviceArray.of(KEYS, CPU), "odd": DeviceArray.of(ODD, CPU)})


def test_arrays_are_read_when_they_are_asked_for(arrays):
    assert dict(arrays).keys() == {"mask", "keys", "odd"}
    assert arrays["keys"].tolist() == KEYS.tolist()
    assert arrays["mask"] is MASK
    with pytest.raises(KeyError):
        arrays["values"]


def test_what_lies_there_is_not_copied(arrays):
    assert resident(arrays, "keys", CPU) is arrays._arrays["keys"]
    assert resident(arrays, "mask", CPU).numpy().tolist() == MASK.tolist()
    assert resident({"keys": KEYS}, "keys", CPU).numpy().tolist() == KEYS.tolist()
    assert arrays.on("keys", Place("cuda")) is None


def test_some_rows(arrays):
    found = Encoded(arrays, 3).select([2, 0])
    assert found.rows == 2
    for name, array in (("keys", KEYS), ("odd", ODD), ("mask", MASK)):
        assert found.inputs[name].tolist() == array[[2, 0]].tolist()
        assert found.inputs[name].dtype == array.dtype
    assert isinstance(found.inputs.on("keys", CPU), DeviceArray)


def test_generation_reads_nothing_of_it(tmp_path, monkeypatch):
    folder = make_seq2seq(tmp_path, {"hund": {"dog": 3.0}, "katze": {"cat": 3.0}})
    bundle = Bundle.open(folder)
    tokens = bundle.tokenizer(["hund", "hund katze"])
    ordinary = bundle.generator().generate(tokens["input_ids"], tokens["attention_mask"], num_beams=2)
    for module in (decoder, generators):
        monkeypatch.setattr(module, "memory_class", lambda session: DeviceMemory)
    generator = bundle.generator()
    made = generator.encode(tokens["input_ids"], tokens["attention_mask"])
    monkeypatch.setattr(encoded.DeviceArray, "of", _small(DeviceArray.of))
    found = generator.generate(encoded=made, num_beams=2)
    assert found.sequences.tolist() == ordinary.sequences.tolist()
    assert {name for name, array in made.inputs._arrays.items() if isinstance(array, DeviceArray)} == {
        "past_key_values.0.encoder.key", "past_key_values.0.encoder.value",
    }  # fmt: skip


def _small(make):
    """Masks are copied to the device, and nothing else."""

    def of(array, place):
        assert array.dtype == np.int64
        return make(array, place)

    return of
