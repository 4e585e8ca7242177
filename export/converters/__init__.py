"""Tokenizers that transformers only has in Python, built anew as the ``tokenizers`` library has them.

A class that is not listed keeps its own fast form, or has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from transformers import PreTrainedTokenizerBase

from .converted import Converted
from .suffixed_pairs import suffixed_pairs
from .vocabulary_pieces import vocabulary_pieces

Converter = Callable[[PreTrainedTokenizerBase], Converted]

CONVERTERS: Mapping[str, Converter] = {
    "CTRLTokenizer": suffixed_pairs,
    "M2M100Tokenizer": vocabulary_pieces,
    "MarianTokenizer": vocabulary_pieces,
}

__all__ = ["CONVERTERS", "Converted", "Converter"]
