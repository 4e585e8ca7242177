"""Weights in a file beside a graph, moved to addresses that kernels can read.

ONNX Runtime writes what is smaller than 1 MiB wherever the last weight ended, and its kernels for matrix products read
packed weights by instructions that fault unless they lie on a multiple of 64 bytes (seen with release 1.31.1: a weight
behind a bias of 10,000 bytes ends the process). Here everything is laid out anew, and the graph is told.

Reference: onnx.proto of ONNX, and ``external_data_info.cc`` of ONNX Runtime for what it says of packed weights:
``prepacked_0: KEY|OFFSET;LENGTH;CHECKSUM``, with a further ``|OFFSET;LENGTH;CHECKSUM`` for each further buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

# Numbers of the fields of onnx.proto's messages that lead to a tensor.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_SPARSE_VALUES, _SPARSE_INDICES = 1, 2
_NODE_ATTRIBUTE = 5
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_TENSOR_EXTERNAL = 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_CACHE_LINE, _PAGE = 64, 4096

Change = Callable[[bytes], bytes]


def align(graph: Path, weights: Path) -> None:
    """Rewrite both files so that every weight, packed or not, begins on a multiple of 64 bytes, a large one on a page.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: the graph is no ONNX, or says of its weights what is not known here.
    """
    old = weights.with_name(f"{weights.name}.unaligned")
    weights.rename(old)
    with old.open("rb") as source, weights.open("wb") as target:

        def move(offset: str, length: str) -> str:
            size = int(length)
            step = _PAGE if size >= _PAGE else _CACHE_LINE
            target.write(bytes(-target.tell() % step))
            position = target.tell()
            source.seek(int(offset))
            while size:
                piece = source.read(min(size, 1 << 24))
                if not piece:
                    raise ValueError(f"{weights.name} ends before {offset} + {length}")
                target.write(piece)
                size -= len(piece)
            return str(position)

        content = _model(graph.read_bytes(), move)
    graph.write_bytes(content)
    old.unlink()


def _model(data: bytes, move: Callable[[str, str], str]) -> bytes:
    """A ModelProto whose tensors are moved."""

    def graph(data: bytes) -> bytes:
        sparse = {_SPARSE_VALUES: tensor, _SPARSE_INDICES: tensor}
        return _changed(
            data, {_GRAPH_NODE: node, _GRAPH_INITIALIZER: tensor, _GRAPH_SPARSE: lambda part: _changed(part, sparse)}
        )

    def node(data: bytes) -> bytes:
        return _changed(data, {_NODE_ATTRIBUTE: attribute})

    def attribute(data: bytes) -> bytes:
        graphs = {_ATTRIBUTE_GRAPH: graph, _ATTRIBUTE_GRAPHS: graph}
        return _changed(data, {**graphs, _ATTRIBUTE_TENSOR: tensor, _ATTRIBUTE_TENSORS: tensor})

    def tensor(data: bytes) -> bytes:
        entries = [_entry(data[begin:end]) for number, _, begin, end in _fields(data) if number == _TENSOR_EXTERNAL]
        length = dict(entries).get("length", "")
        return _changed(data, {_TENSOR_EXTERNAL: lambda part: external(part, length)})

    def external(data: bytes, length: str) -> bytes:
        key, value = _entry(data)
        if key == "offset":
            value = move(value, length)
        elif key.startswith("prepacked_"):
            name, *buffers = value.split("|")
            triples = [buffer.split(";") for buffer in buffers]
            value = "|".join([name, *(f"{move(offset, size)};{size};{check}" for offset, size, check in triples)])
        elif key not in ("location", "length", "checksum"):
            raise ValueError(f"external data has {key!r}")
        return _changed(data, {_ENTRY_VALUE: lambda _: value.encode()})

    return _changed(data, {_MODEL_GRAPH: graph})


def _entry(data: bytes) -> tuple[str, str]:
    """Key and value of a StringStringEntryProto."""
    found = {number: data[begin:end].decode() for number, _, begin, end in _fields(data)}
    return found.get(_ENTRY_KEY, ""), found.get(_ENTRY_VALUE, "")


def _changed(data: bytes, changes: Mapping[int, Change]) -> bytes:
    """A message with its parts of some numbers changed, the others as they are."""
    parts, done = [], 0
    for number, length, begin, end in _fields(data):
        if number in changes:
            part = changes[number](data[begin:end])
            parts += [data[done:length], _varint(len(part)), part]
            done = end
    return b"".join([*parts, data[done:]])


def _fields(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Of every part that has a length (messages, texts, bytes): its number, where the length is, begin and end.

    Raises:
        ValueError: this is no message of protocol buffers.
    """
    position = 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            _, position = _read_varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            position += 8 if kind == _FIXED64 else 4
        elif kind == _BYTES:
            size, begin = _read_varint(data, position)
            yield number, position, begin, begin + size
            position = begin + size
        else:
            raise ValueError(f"no message of protocol buffers: a field of kind {kind}")
    if position != len(data):
        raise ValueError("no message of protocol buffers: it ends in a field")


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data):
            raise ValueError("no message of protocol buffers: it ends in a number")
        byte = data[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
