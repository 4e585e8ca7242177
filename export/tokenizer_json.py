"""Writing a tokenizer's file so that its scores are read back exactly.

The library reads a decimal with up to two roundings, so that a quarter of all scores, written in the usual way, come
back as their neighbours. That is enough to cut a text otherwise where two cuts have one score ("-----" into "--" and
"---", or the reverse). Some three in a thousand have no decimal that is read as they are, and stay one bit off.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

from tokenizers import Tokenizer

_VOCABULARY = "\ufdd0"  # stands for the vocabulary until its text takes the place; no token is called so
_DECIMAL = re.compile(r"-?(\d+)\.(\d+)")


def save(tokenizer: Tokenizer, path: Path) -> None:
    """Write ``tokenizer.json``."""
    content = json.loads(tokenizer.to_str())
    model = content["model"]
    if model["type"] != "Unigram":
        tokenizer.save(str(path))
        return
    pieces, model["vocab"] = model["vocab"], _VOCABULARY
    rows = ",\n      ".join(f"[{json.dumps(piece, ensure_ascii=False)}, {decimal(score)}]" for piece, score in pieces)
    text = json.dumps(content, ensure_ascii=False, indent=2).replace(f'"{_VOCABULARY}"', f"[\n      {rows}\n    ]")
    path.write_text(text, encoding="utf-8")


def decimal(score: float) -> str:
    """A decimal that the library reads as exactly this number, if there is one."""
    plain = repr(score)
    if _read(plain) == score:
        return plain
    size = abs(score)
    exponent = math.floor(math.log10(size))
    for places in range(max(15 - exponent, 1), 20 - exponent):
        digits = float(size * 10**places)
        for _ in range(3):
            digits = math.nextafter(digits, 0)
        for _ in range(7):  # one of these doubles may be rounded to the score when it is divided
            if digits.is_integer() and digits < 1 << 64 and digits / 10**places == size:
                return _written(int(digits), places, score < 0)
            digits = math.nextafter(digits, math.inf)
    return plain


def _read(text: str) -> float | None:
    """A decimal as the library reads it: all digits as one number, rounded, divided by a power of ten, rounded."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return None
    size: float = float(int(match[1] + match[2])) / 10 ** len(match[2])
    return -size if text.startswith("-") else size


def _written(digits: int, places: int, negative: bool) -> str:
    text = str(digits).rjust(places + 1, "0")
    return f"{'-' if negative else ''}{text[:-places]}.{text[-places:]}"
