"""Rows of tokens as the arrays that a graph takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tokenizers
from numpy.typing import NDArray

from .errors import InputError


class Batch(dict[str, NDArray[np.int64]]):
    """Model inputs by name, each ``(batch, length)``, with the encodings that they were made from.

    Attributes:
        encodings: one ``tokenizers.Encoding`` per row, unpadded: tokens, offsets, word ids, special tokens mask.
    """

    def __init__(self, arrays: dict[str, NDArray[np.int64]], encodings: Sequence[tokenizers.Encoding]) -> None:
        super().__init__(arrays)
        self.encodings = list(encodings)

    @property
    def offsets(self) -> list[list[tuple[int, int]]]:
        """Per row and token, the (start, end) characters in the text it came from; (0, 0) for special tokens."""
        return [encoding.offsets for encoding in self.encodings]


def collate(encodings: Sequence[tokenizers.Encoding], pad: int | None, side: str) -> Batch:
    """Pad encodings to the longest and stack them.

    Args:
        encodings: one per row.
        pad: the id of the padding token, if there is one.
        side: where padding goes, ``"left"`` or ``"right"``.

    Raises:
        InputError: rows differ in length and there is no padding token.
    """
    lengths = [len(encoding) for encoding in encodings]
    longest = max(lengths, default=0)
    if pad is None and any(length < longest for length in lengths):
        raise InputError("the tokenizer has no padding token, so only texts of one length can be batched")
    shape = (len(encodings), longest)
    arrays = {
        "input_ids": np.full(shape, 0 if pad is None else pad, dtype=np.int64),
        "attention_mask": np.zeros(shape, dtype=np.int64),
        "token_type_ids": np.zeros(shape, dtype=np.int64),
    }
    for row, (encoding, length) in enumerate(zip(encodings, lengths, strict=True)):
        place = slice(0, length) if side == "right" else slice(longest - length, longest)
        arrays["input_ids"][row, place] = encoding.ids
        arrays["attention_mask"][row, place] = 1
        arrays["token_type_ids"][row, place] = encoding.type_ids
    return Batch(arrays, encodings)
