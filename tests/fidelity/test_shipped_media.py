"""The shipped checkpoints that hear and see, against torch: on the demo's inputs, and on drawn pictures."""

from __future__ import annotations

import json
from random import Random

import numpy as np
import pytest

from examples.samples import INPUTS, SAMPLES, expected
from examples.task_summary import audio_classification, image_classification, speech_recognition
from examples.training.data import pictures
from examples.training.evaluate import error_rate
from torchless import Bundle, pipeline

from . import cases
from .checkpoints import Exported

pytestmark = pytest.mark.export

MEDIA = ("audio-classification", "automatic-speech-recognition", "image-classification")


def model(name):
    import torch
    import transformers

    folder = cases.CHECKPOINTS / name
    kind = getattr(transformers, json.loads((folder / "config.json").read_text())["architectures"][0])
    return kind.from_pretrained(folder, dtype=torch.float32).eval()


def logits(name, batch):
    import torch

    with torch.inference_mode():
        return model(name)(**{key: torch.from_numpy(value) for key, value in batch.items()}).logits.numpy()


def sounds(prefix, rate):
    """The recordings as transformers' own pipelines would be given them, decoded and resampled by other libraries."""
    import soundfile
    import soxr

    for file in sorted(INPUTS.glob(f"{prefix}-*.wav")):
        samples, found = soundfile.read(file, dtype="float32", always_2d=True)
        yield file, soxr.resample(samples.mean(axis=1), found, rate, quality="HQ").astype(np.float32)


def test_every_input_is_shown_and_known():
    files = {path.name for path in INPUTS.iterdir()} - {"expected.json"}
    shown = {item.name for sample in SAMPLES if sample.task in MEDIA for item in sample.inputs}
    assert files == set(expected()) == shown


def test_inputs_are_of_several_formats():
    import soundfile
    from PIL import Image

    sound = [soundfile.info(str(file)) for file in INPUTS.glob("*.wav")]
    assert {info.samplerate for info in sound} == {8_000, 16_000, 22_050}
    assert {info.channels for info in sound} == {1, 2}
    modes = set()
    for file in INPUTS.glob("*.png"):
        with Image.open(file) as image:
            modes.add(image.mode)
    assert modes == {"RGB", "RGBA", "P"}


def test_keywords(exported: Exported):
    from transformers import Wav2Vec2FeatureExtractor

    bundle = Bundle.open(exported("keywords"))
    theirs = Wav2Vec2FeatureExtractor.from_pretrained(cases.CHECKPOINTS / "keywords")
    listen = pipeline("audio-classification", bundle, top_k=1)
    right = 0
    for file, clip in sounds("word", theirs.sampling_rate):
        batch = theirs([clip], sampling_rate=theirs.sampling_rate, return_tensors="np")
        reference = logits("keywords", batch)
        np.testing.assert_allclose(bundle.session().run(dict(batch))["logits"], reference, atol=1e-4, rtol=1e-4)
        (answer,) = listen(file)
        assert answer["label"] == bundle.labels[reference[0].argmax()]
        right += answer["label"] == expected()[file.name]
    assert right >= 3


def test_commands(exported: Exported):
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor

    bundle = Bundle.open(exported("commands"))
    folder = cases.CHECKPOINTS / "commands"
    extractor, tokenizer = (
        Wav2Vec2FeatureExtractor.from_pretrained(folder),
        Wav2Vec2CTCTokenizer.from_pretrained(folder),
    )
    files, clips = zip(*sounds("sentence", extractor.sampling_rate), strict=True)
    batch = extractor(list(clips), sampling_rate=extractor.sampling_rate, padding=True, return_tensors="np")
    assert batch["attention_mask"].min() == 0  # padded, and the mask says so
    reference = logits("commands", batch)
    np.testing.assert_allclose(bundle.session().run(dict(batch))["logits"], reference, atol=1e-4, rtol=1e-4)
    lengths = model("commands")._get_feat_extract_output_lengths
    frames = [int(lengths(int(count))) for count in batch["attention_mask"].sum(-1)]
    texts = [tokenizer.decode(row[:count]) for row, count in zip(reference.argmax(-1), frames, strict=True)]
    transcribe = pipeline("automatic-speech-recognition", bundle)
    assert [answer["text"] for answer in transcribe(list(files))] == texts
    assert error_rate(texts, [expected()[file.name] for file in files]) < 0.25


def test_times_of_words_follow_each_other(exported: Exported):
    transcribe = pipeline("automatic-speech-recognition", exported("commands"))
    answer = transcribe(INPUTS / "sentence-3.wav", return_timestamps="word")
    assert " ".join(chunk["text"] for chunk in answer["chunks"]) == answer["text"]
    times = [time for chunk in answer["chunks"] for time in chunk["timestamp"]]
    assert times == sorted(times)


def test_shapes(exported: Exported):
    """Held-out pairs of colours: the same accuracy as torch, which is high."""
    from transformers import ViTImageProcessorPil

    bundle = Bundle.open(exported("shapes"))
    examples = pictures.make(Random(5), 100, "test")
    theirs = ViTImageProcessorPil.from_pretrained(cases.CHECKPOINTS / "shapes")
    reference = logits("shapes", dict(theirs([example.image for example in examples], return_tensors="np")))
    answers = pipeline("image-classification", bundle, top_k=1)([example.image for example in examples])
    found = [bundle.labels.index(answer["label"]) for (answer,) in answers]
    assert found == reference.argmax(-1).tolist()
    scores = np.exp(reference - reference.max(-1, keepdims=True))
    scores /= scores.sum(-1, keepdims=True)
    np.testing.assert_allclose([answer["score"] for (answer,) in answers], scores.max(-1), atol=1e-4)
    assert np.mean([label == example.label for label, example in zip(found, examples, strict=True)]) > 0.8


def test_shown_pictures(exported: Exported):
    look = pipeline("image-classification", exported("shapes"), top_k=1)
    files = sorted(INPUTS.glob("*.png"))
    assert [answer["label"] for (answer,) in look(files)] == [expected()[file.name] for file in files]


@pytest.mark.parametrize(
    ("example", "name"),
    [(audio_classification, "keywords"), (image_classification, "shapes"), (speech_recognition, "commands")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_both_ways_of_an_example_agree(exported: Exported, capsys, example, name):
    bundle = Bundle.open(exported(name))
    example.with_pipeline(bundle)
    one = capsys.readouterr().out.splitlines()
    example.with_parts(bundle)
    other = capsys.readouterr().out.splitlines()
    assert one[: len(other)] == other
    assert len(other) == len(example.FILES)
