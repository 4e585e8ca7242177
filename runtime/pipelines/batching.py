"""Which rows run together."""

from __future__ import annotations

from collections.abc import Sequence

# Tokens (rows x padded length) of one batch on a CPU: large enough to reuse the weights that a step reads from
# memory, small enough for activations to stay in the cache. Measured on BERT-base and on the shipped samples.
TOKENS_PER_BATCH = 1024
# Rows are padded by at most this share of their batch's tokens before a new batch is begun.
PADDING_SHARE = 0.1


def batches(lengths: Sequence[int], batch_size: int | None) -> list[list[int]]:
    """Group rows of like length.

    Args:
        lengths: tokens of each row.
        batch_size: rows per batch at the most; None bounds the padded tokens of a batch and the share of padding.

    Returns:
        Row numbers by batch, every row once, longest first: a batch that does not fit in memory fails at once.

    Example:
        >>> batches([3, 100, 4], batch_size=2)
        [[1, 2], [0]]
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    found: list[list[int]] = []
    tokens = longest = 0
    for row in order:
        size = len(found[-1]) + 1 if found else 0
        if batch_size is not None:
            fits = 0 < size <= batch_size
        else:
            padded = size * longest
            padding = padded - tokens - lengths[row]
            fits = bool(found) and padded <= TOKENS_PER_BATCH and padding <= PADDING_SHARE * padded
        if fits:
            found[-1].append(row)
            tokens += lengths[row]
        else:
            found.append([row])
            tokens = longest = lengths[row]
    return found
