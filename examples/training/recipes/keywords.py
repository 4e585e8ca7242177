"""Keyword spotting with HuBERT."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    HubertConfig,
    HubertForSequenceClassification,
    PreTrainedModel,
    Wav2Vec2FeatureExtractor,
    set_seed,
)

from ..data import keywords
from ..evaluate import Metrics, accuracy
from ..init import filter_bank
from ..loop import fit
from ..stock import Stock

STEPS = 2400
BATCH = 32
HELD_OUT = 2000


def inputs(extractor: Wav2Vec2FeatureExtractor, examples: Sequence[keywords.Example]) -> dict[str, Tensor]:
    """The clips, all of one length, and their labels."""
    clips = [example.clip for example in examples]
    batch = extractor(clips, sampling_rate=extractor.sampling_rate, return_tensors="pt")
    return {**batch, "labels": torch.tensor([example.label for example in examples])}


def build() -> tuple[PreTrainedModel, Wav2Vec2FeatureExtractor]:
    """Train the model. Its first layers are shorter and wider than the published models' seven."""
    set_seed(0)
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False)  # type: ignore[no-untyped-call]
    config = HubertConfig(
        hidden_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=256,
        conv_dim=(64, 64, 96),
        conv_kernel=(200, 8, 5),
        conv_stride=(16, 4, 5),
        num_conv_pos_embeddings=15,
        num_conv_pos_embedding_groups=4,
        classifier_proj_size=64,
        feat_extract_norm="group",
        layerdrop=0.0,
        hidden_dropout=0.0,  # every example is new: nothing to learn by heart
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        mask_time_prob=0.0,
        id2label=dict(enumerate(keywords.LABELS)),
        label2id={label: index for index, label in enumerate(keywords.LABELS)},
    )
    model = HubertForSequenceClassification(config)
    layers: Any = model.hubert.feature_extractor.conv_layers
    filter_bank(layers[0].conv.weight)
    spoken = Stock(lambda rng: keywords.speak(rng, "train"), size=20_000, fresh=0.1)

    def feed(rng: Random) -> Iterator[dict[str, Tensor]]:
        for _ in range(STEPS):
            yield inputs(extractor, [keywords.record(rng, spoken(rng)) for _ in range(BATCH)])

    fit(model, feed(Random(0)), steps=STEPS, learning_rate=1e-3, half=True)
    return model, extractor


@torch.inference_mode()
def evaluate(model: PreTrainedModel, extractor: Wav2Vec2FeatureExtractor) -> Metrics:
    """Accuracy on the voices, speeds and pitches that training never uses; of the keywords alone, too."""
    examples = keywords.make(Random(1), HELD_OUT, "test")
    predicted: list[int] = []
    for start in range(0, HELD_OUT, BATCH):
        batch = inputs(extractor, examples[start : start + BATCH])
        predicted += model(batch["input_values"]).logits.argmax(-1).tolist()
    labels = np.array([example.label for example in examples])
    known = np.flatnonzero(labels < len(keywords.KEYWORDS))
    return {
        "accuracy": accuracy(predicted, labels.tolist()),
        "accuracy_keywords": accuracy([predicted[row] for row in known], labels[known].tolist()),
        "examples": HELD_OUT,
    }
