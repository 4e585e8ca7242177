"""Classification of pictures with ViT."""

from collections.abc import Iterator, Sequence
from random import Random

import torch
from torch import Tensor
from transformers import PreTrainedModel, ViTConfig, ViTForImageClassification, ViTImageProcessorPil, set_seed

from ..data import pictures
from ..evaluate import Metrics, accuracy
from ..loop import fit

STEPS = 6000
BATCH = 48
HELD_OUT = 2000


def inputs(processor: ViTImageProcessorPil, examples: Sequence[pictures.Example]) -> dict[str, Tensor]:
    """The pictures, all of the model's size, and their labels."""
    pixels = processor([example.image for example in examples], return_tensors="pt")
    return {**pixels, "labels": torch.tensor([example.label for example in examples])}


def build() -> tuple[PreTrainedModel, ViTImageProcessorPil]:
    """Train the model."""
    set_seed(0)
    processor = ViTImageProcessorPil(size={"height": 64, "width": 64})
    config = ViTConfig(
        image_size=64,
        patch_size=8,
        hidden_size=96,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=192,
        initializer_range=0.05,
        id2label=dict(enumerate(pictures.LABELS)),
        label2id={label: index for index, label in enumerate(pictures.LABELS)},
    )
    model = ViTForImageClassification(config)

    def feed(rng: Random) -> Iterator[dict[str, Tensor]]:
        for _ in range(STEPS):
            yield inputs(processor, pictures.make(rng, BATCH))

    fit(model, feed(Random(0)), steps=STEPS, learning_rate=1e-3, half=True)
    return model, processor


@torch.inference_mode()
def evaluate(model: PreTrainedModel, processor: ViTImageProcessorPil) -> Metrics:
    """Accuracy on pairs of colours of thing and ground that training never uses; of the two alone, too."""
    examples = pictures.make(Random(1), HELD_OUT, "test")
    predicted: list[int] = []
    for start in range(0, HELD_OUT, BATCH):
        batch = inputs(processor, examples[start : start + BATCH])
        predicted += model(batch["pixel_values"]).logits.argmax(-1).tolist()
    expected = [example.label for example in examples]
    shapes = len(pictures.SHAPES)
    return {
        "accuracy": accuracy(predicted, expected),
        "accuracy_colour": accuracy([p // shapes for p in predicted], [e // shapes for e in expected]),
        "accuracy_shape": accuracy([p % shapes for p in predicted], [e % shapes for e in expected]),
        "examples": HELD_OUT,
    }
