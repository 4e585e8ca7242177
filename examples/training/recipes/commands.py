"""Speech recognition with Wav2Vec2 and CTC."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor
from transformers import (
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
    set_seed,
)

from ..data import commands
from ..evaluate import Metrics, error_rate
from ..init import filter_bank
from ..loop import fit
from ..stock import Stock

STEPS = 3200
WORDS = 800  # the first steps have a few words instead of sentences, which are aligned sooner
BATCH = 16
POOL = 16  # batches whose clips are sorted by length together
HELD_OUT = 500


def processor() -> Wav2Vec2Processor:
    """The feature extractor, and the tokenizer of single characters."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vocab.json"
        file.write_text(json.dumps({character: index for index, character in enumerate(commands.CHARACTERS)}))
        tokenizer = Wav2Vec2CTCTokenizer(str(file))  # type: ignore[no-untyped-call]
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)  # type: ignore[no-untyped-call]
    return Wav2Vec2Processor(extractor, tokenizer)  # type: ignore[no-untyped-call]


def inputs(made: Wav2Vec2Processor, examples: Sequence[commands.Example]) -> dict[str, Tensor]:
    """The clips, padded to the longest, with the characters said."""
    clips = [example.clip for example in examples]
    batch = made.feature_extractor(
        clips, sampling_rate=made.feature_extractor.sampling_rate, padding=True, return_tensors="pt"
    )
    rows = [torch.tensor(made.tokenizer(example.text)["input_ids"]) for example in examples]
    labels = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100)
    return {**batch, "labels": labels}


def build() -> tuple[PreTrainedModel, Wav2Vec2Processor]:
    """Train the model. Its first layers are shorter and wider than the published models' seven."""
    set_seed(0)
    made = processor()
    config = Wav2Vec2Config(
        vocab_size=len(commands.CHARACTERS),
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=256,
        conv_dim=(64, 64, 128),
        conv_kernel=(128, 8, 4),
        conv_stride=(20, 4, 4),
        conv_bias=True,
        num_conv_pos_embeddings=31,
        num_conv_pos_embedding_groups=8,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        layerdrop=0.0,
        final_dropout=0.0,
        hidden_dropout=0.0,  # every example is new: nothing to learn by heart
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        mask_time_prob=0.0,
        ctc_loss_reduction="mean",
        ctc_zero_infinity=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = Wav2Vec2ForCTC(config)
    layers: Any = model.wav2vec2.feature_extractor.conv_layers
    filter_bank(layers[0].conv.weight)
    fit(model, feed(Random(0), made), steps=STEPS, learning_rate=1.5e-3)
    return model, made


def feed(rng: Random, made: Wav2Vec2Processor) -> Iterator[dict[str, Tensor]]:
    """The batches of training: first of a few words, then of sentences."""
    few = Stock(lambda r: commands.speak(r, commands.words(r, 3), "train"), size=6_000, fresh=0.1)
    whole = Stock(lambda r: commands.speak(r, commands.sentence(r, "train"), "train"), size=8_000, fresh=0.1)
    for done in range(0, STEPS, POOL):
        share = 1.0 if done < WORDS else 0.15
        pool = [commands.record(rng, (few if rng.random() < share else whole)(rng)) for _ in range(POOL * BATCH)]
        pool.sort(key=lambda example: len(example.clip))
        starts = list(range(0, len(pool), BATCH))
        rng.shuffle(starts)
        for start in starts[: STEPS - done]:
            yield inputs(made, pool[start : start + BATCH])


@torch.inference_mode()
def evaluate(model: PreTrainedModel, made: Wav2Vec2Processor) -> Metrics:
    """Word and character error rates of held-out sentences by held-out voices."""
    examples = commands.make(Random(1), HELD_OUT, "test")
    examples.sort(key=lambda example: len(example.clip))
    texts: list[str] = []
    lengths: Any = model._get_feat_extract_output_lengths
    for start in range(0, HELD_OUT, BATCH):
        batch = inputs(made, examples[start : start + BATCH])
        del batch["labels"]
        best = model(**batch).logits.argmax(-1)
        frames = lengths(batch["attention_mask"].sum(-1)).tolist()  # what follows was heard in the padding
        texts += [made.tokenizer.decode(row[:count]) for row, count in zip(best, frames, strict=True)]
    expected = [example.text for example in examples]
    words = error_rate([text.split() for text in texts], [text.split() for text in expected])
    return {
        "word_error_rate": words,
        "character_error_rate": error_rate(texts, expected),
        "exact_match": sum(t == e for t, e in zip(texts, expected, strict=True)) / HELD_OUT,
        "examples": HELD_OUT,
    }
