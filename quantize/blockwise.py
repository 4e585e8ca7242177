"""Weights of 8 or 4 bits, each block of a row with a scale of its own; no activation has a range to be known.

Products with constant weights become ``com.microsoft::MatMulNBits``, a bias included, which at accuracy level 4 rounds
its input block by block and multiplies in int8. Embeddings become ``com.microsoft::GatherBlockQuantized``. A weight
that is both is stored once: the embedding reads the product's array, which a ``Reshape`` of constants lays out row by
row when ONNX Runtime loads the graph. Unlike ``Gather``, ``GatherBlockQuantized`` may give zeros for an index that the
table does not have, without an error. A row that is no multiple of the block is padded with zeros. Embeddings of 4 bits
whose rows have an odd number of blocks have no zero points.

Reference: ONNX Runtime's contrib operators MatMulNBits and GatherBlockQuantized, version 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .converted import Converted
from .products import MICROSOFT, Product, array_of, name_of, shape_of, size_of
from .rewriting import SMALL, Candidates, Rewriter
from .schemes import BLOCK_SIZES, Scheme

BITS = {"q8": 8, "q4": 4}
# Weights that are rounded at a time, so that what is tried stays in the processor's cache.
_CHUNK = 1 << 15
_TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class Blocks:
    """A matrix in blocks: ``(numbers - zero points) * scales``.

    Attributes:
        numbers: uint8 ``(rows, blocks, block size)``, below ``2 ** bits``.
        scales: float32 ``(rows, blocks)``.
        zeros: uint8 ``(rows, blocks)``; None where it is ``2 ** (bits - 1)`` everywhere.
        bits: 8 or 4.
    """

    numbers: NDArray[np.uint8]
    scales: NDArray[np.float32]
    zeros: NDArray[np.uint8] | None
    bits: int

    def weights(self) -> NDArray[np.float32]:
        """What the blocks stand for, padding included: ``(rows, blocks * block size)``."""
        zeros = np.float32(1 << (self.bits - 1)) if self.zeros is None else self.zeros[..., None].astype(np.float32)
        found = (self.numbers - zeros) * self.scales[..., None]
        return found.reshape(len(found), -1)

    def packed(self) -> list[NDArray[np.uint8] | NDArray[np.float32]]:
        """Numbers, scales and zero points as the operators read them: of 4 bits, two in a byte, low bits first."""
        arrays: list[NDArray[np.uint8] | NDArray[np.float32]] = [_pack(self.numbers, self.bits), self.scales]
        return arrays if self.zeros is None else [*arrays, _pack(self.zeros, self.bits)]


def convert(model: ir.Model, scheme: Scheme) -> Converted:
    """A copy of a float32 model whose large products and embeddings have weights of 8 or 4 bits.

    Args:
        model: a graph whose weights are initializers.
        scheme: q8 or q4, with its ``block_size``, ``symmetric``, ``accuracy_level`` and ``exclude``.
    """
    rewriter = Rewriter(model)
    found = Candidates.find(rewriter, scheme)
    rewrite = _Rewrite(rewriter, scheme, {name_of(node.inputs[0]) for node in found.tables})
    for product in found.products:
        rewrite.product(product)
    for node in found.tables:
        if node.inputs[0] in found.tied or size_of(node.inputs[0]) >= SMALL:
            rewrite.table(node)
        else:
            found.reasons[name_of(node.inputs[0])] = f"an embedding of fewer than {SMALL} numbers"
    left = rewriter.finish(found.reasons, "convolutions have no operator with weights in blocks")
    return Converted(rewriter.model, rewriter.quantized, left)


def block_size(scheme: Scheme, columns: int) -> int:
    """Columns that share a scale in a row: as asked for, or as measured but no more than keeps the row smallest."""
    if scheme.block_size is not None:
        return scheme.block_size
    bits, largest = BITS[scheme.name], scheme.options["block_size"]
    sizes = [size for size in BLOCK_SIZES if size <= largest]
    return min(sizes, key=lambda size: (-(-columns // size) * (size * bits // 8 + 4), -size))


def quantize(weight: NDArray[np.float32], bits: int, block_size: int, *, symmetric: bool = True) -> Blocks:
    """Round the rows of a matrix in blocks, each by the scale among a few with which it loses least.

    Args:
        weight: ``(rows, columns)``.
        bits: 8 or 4.
        block_size: columns that share a scale; the last block of a row is filled up with zeros.
        symmetric: the zero point is the middle; otherwise each block has its own.
    """
    rows, columns = weight.shape
    blocks = -(-columns // block_size)
    padded = np.zeros((rows, blocks * block_size), np.float32)
    padded[:, :columns] = weight
    padded = padded.reshape(-1, block_size)
    count = max(1, _CHUNK // block_size)
    parts = [_rounded(padded[at : at + count].T, bits, symmetric) for at in range(0, len(padded), count)]
    numbers, scales, zeros = (np.concatenate(part) for part in zip(*parts, strict=True))
    shape = rows, blocks
    numbers = numbers.reshape(*shape, block_size)
    return Blocks(numbers, scales.reshape(shape), None if symmetric else zeros.reshape(shape), bits)


_Rounded = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]


def _rounded(columns: NDArray[np.float32], bits: int, symmetric: bool) -> _Rounded:
    """Numbers ``(blocks, block size)``, and scales and zero points ``(blocks,)``, of blocks that are columns."""
    columns = np.ascontiguousarray(columns)
    top = np.float32((1 << bits) - 1)
    scales, zeros, factors = _symmetric(columns, bits) if symmetric else _asymmetric(columns, bits)
    best, least = np.zeros_like(columns), np.full_like(scales, np.inf)
    for factor in factors:
        tried = scales * np.float32(factor)
        numbers = np.rint(columns * _inverse(tried))
        np.clip(numbers, -zeros, top - zeros, out=numbers)
        lost = np.square(numbers * tried - columns).sum(axis=0)
        np.copyto(best, numbers, where=lost < least)
        np.minimum(lost, least, out=least)
    # Least squares: the scale that fits these numbers best.
    fitted = (columns * best).sum(axis=0) * _inverse(np.square(best).sum(axis=0))
    return (best + zeros).T.astype(np.uint8), fitted, zeros.astype(np.uint8)


_Tries = tuple[NDArray[np.float32], NDArray[np.float32], tuple[float, ...]]


def _symmetric(columns: NDArray[np.float32], bits: int) -> _Tries:
    """Scales that make the largest weight the lowest number, the middle as zero points, and factors to try."""
    half = np.float32(1 << (bits - 1))
    low, high = columns.min(axis=0), columns.max(axis=0)
    scales = np.where(high > -low, high, low) / -half
    return scales, np.full_like(scales, half), (8 / 9, 8 / 8.5, 1.0, 8 / 7.5, 8 / 7) if bits == 4 else (1.0, 128 / 127)


def _asymmetric(columns: NDArray[np.float32], bits: int) -> _Tries:
    """Scales that make all numbers span a range that includes zero, their zero points, and factors to try."""
    zero = np.float32(0)
    low, high = np.minimum(columns.min(axis=0), zero), np.maximum(columns.max(axis=0), zero)
    scales = (high - low) / np.float32((1 << bits) - 1)
    return scales, np.rint(-low * _inverse(scales)), (0.85, 0.9, 0.95, 1.0) if bits == 4 else (1.0,)


def _inverse(scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """One by scales, and zero by those of empty blocks."""
    found: NDArray[np.float32] = np.divide(1, scales, out=np.zeros_like(scales), where=np.abs(scales) > _TINY)
    return found


def _pack(numbers: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """The last axis in bytes."""
    if bits == 8:
        return numbers
    if numbers.shape[-1] % 2:
        numbers = np.concatenate([numbers, np.zeros_like(numbers[..., :1])], axis=-1)
    packed: NDArray[np.uint8] = np.bitwise_or(numbers[..., ::2], numbers[..., 1::2] << np.uint8(4), dtype=np.uint8)
    return packed


def _is_odd(shape: tuple[int, ...], attributes: Mapping[str, int]) -> bool:
    """Whether a row's zero points of 4 bits end in half a byte, where ONNX Runtime 1.23 reads the next row's."""
    return attributes["bits"] == 4 and -(-shape[1] // attributes["block_size"]) % 2 == 1


class _Rewrite:
    """Puts operators on blocks, and their weights, into a graph."""

    def __init__(self, rewriter: Rewriter, scheme: Scheme, tables: set[str]) -> None:
        self._rewriter = rewriter
        self._scheme = scheme
        self._tables = tables
        self._level: int = scheme.options["accuracy_level"]

    def product(self, product: Product) -> None:
        """Let a product on blocks give what the product, and the addition of its bias, gave."""
        rows, columns = shape_of(product.weight)[:: 1 if product.rows else -1]
        attributes = {"K": columns, "N": rows, **self._attributes(columns), "accuracy_level": self._level}
        numbers, scales, *zeros = self._blocks(product.weight, product.rows)
        optional = [zeros[0] if zeros else None, None, self._bias(product)]
        inputs = [product.input, numbers, scales, *optional]
        node = ir.node("MatMulNBits", inputs, attributes, domain=MICROSOFT)
        self._rewriter.insert(product.nodes[0], [node])
        self._rewriter.record(product.weight, "MatMulNBits")
        self._rewriter.replace(product.nodes, node.outputs[0])

    def table(self, node: ir.Node) -> None:
        """Look up rows of blocks."""
        weight, indices = node.inputs
        rows, columns = shape_of(weight)
        numbers, scales, *zeros = self._blocks(weight, rows=True)
        flat = self._rewriter.initializer(f"rows_{rows}", np.array([rows, -1]))
        lines = ir.node("Reshape", [numbers, flat])
        attributes = {**self._attributes(columns), "gather_axis": 0, "quantize_axis": 1}
        inputs = [lines.outputs[0], indices, scales, *zeros]
        nodes = [lines, ir.node("GatherBlockQuantized", inputs, attributes, domain=MICROSOFT)]
        if columns % attributes["block_size"]:
            ends = [self._rewriter.initializer(f"number_{end}", np.array([end])) for end in (0, columns, -1)]
            nodes.append(ir.node("Slice", [nodes[-1].outputs[0], *ends]))
        self._rewriter.insert(node, nodes)
        self._rewriter.record(weight, "GatherBlockQuantized")
        self._rewriter.replace([node], nodes[-1].outputs[0])

    def _attributes(self, columns: int) -> dict[str, int]:
        return {"bits": BITS[self._scheme.name], "block_size": block_size(self._scheme, columns)}

    def _blocks(self, weight: ir.Value | None, rows: bool) -> list[ir.Value]:
        """Numbers, scales and, where not symmetric, zero points of a weight, or of its transpose."""
        stem = f"{name_of(weight)}{'' if rows else '.T'}_{self._scheme.name}"
        attributes = self._attributes(shape_of(weight)[1 if rows else 0])
        symmetric = self._scheme.symmetric or (
            name_of(weight) in self._tables and _is_odd(shape_of(weight), attributes)
        )
        names = [f"{stem}_{part}" for part in ("numbers", "scales", "zeros")[: 2 if symmetric else 3]]

        def make() -> list[NDArray[np.uint8] | NDArray[np.float32]]:
            array = array_of(weight) if rows else array_of(weight).T
            return quantize(array, symmetric=symmetric, **attributes).packed()

        return self._rewriter.initializers(names, make)

    def _bias(self, product: Product) -> ir.Value | None:
        if product.bias is None:
            return None
        return self._rewriter.initializer(f"{name_of(product.bias)}_bias", array_of(product.bias).ravel())
