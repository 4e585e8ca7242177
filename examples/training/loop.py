"""The training loop that every recipe shares."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from random import Random

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel

Features = dict[str, list[int] | int]
MakeFeatures = Callable[[Random, int, float], list[Features]]

PADDING = {"attention_mask": 0, "token_type_ids": 0, "labels": -100}
POOL_BATCHES = 32


def collate(examples: list[Features], pad_token_id: int) -> dict[str, Tensor]:
    """Pad the examples to the longest of them."""
    padding = PADDING | {"input_ids": pad_token_id}
    batch: dict[str, Tensor] = {}
    for key, first in examples[0].items():
        if isinstance(first, int):
            batch[key] = torch.tensor([example[key] for example in examples])
            continue
        rows = [torch.tensor(example[key]) for example in examples]
        batch[key] = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=padding[key])
    return batch


def batches(
    rng: Random, make_features: MakeFeatures, steps: int, batch_size: int, pad_token_id: int
) -> Iterator[Mapping[str, Tensor]]:
    """Make fresh examples for `steps` batches, each of examples of similar length to save padding.

    `make_features(rng, count, progress)` is told how far training has come, from 0 to 1.
    """
    for done in range(0, steps, POOL_BATCHES):
        pool = make_features(rng, batch_size * POOL_BATCHES, done / steps)
        pool.sort(key=lambda example: len(example["input_ids"]))  # type: ignore[arg-type]
        starts = list(range(0, len(pool), batch_size))
        rng.shuffle(starts)
        for start in starts[: steps - done]:
            yield collate(pool[start : start + batch_size], pad_token_id)


def train(
    model: PreTrainedModel,
    make_features: MakeFeatures,
    *,
    steps: int,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    seed: int = 0,
    half: bool = True,
) -> None:
    """Train in place on examples of tokens; `half` computes in bfloat16."""
    feed = batches(Random(seed), make_features, steps, batch_size, model.config.pad_token_id)
    fit(model, feed, steps=steps, learning_rate=learning_rate, half=half)


def fit(
    model: PreTrainedModel,
    feed: Iterable[Mapping[str, Tensor]],
    *,
    steps: int,
    learning_rate: float = 1e-3,
    half: bool = False,
) -> None:
    """Train in place on `steps` batches with AdamW, a linear warm-up and decay, and clipped gradients."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.01)
    warmup = max(1, steps // 20)
    schedule = LambdaLR(optimizer, lambda step: min(step / warmup, (steps - step) / (steps - warmup)))
    model.train()
    mean = 0.0
    for step, batch in enumerate(feed, 1):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = model(**batch).loss
        loss.backward()
        if clip_grad_norm_(model.parameters(), 1.0).isfinite():  # in bfloat16 a rare batch overflows: it is left out
            optimizer.step()
            mean += (loss.item() - mean) / min(step, 100)
        schedule.step()
        optimizer.zero_grad()
        if step % 200 == 0 or step == steps:
            print(f"  step {step}/{steps} loss {mean:.3f}", flush=True)
    model.eval()  # type: ignore[no-untyped-call]
