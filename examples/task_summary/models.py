"""Which model an example runs: the checkpoint that the documentation names, or the shipped sample."""

from __future__ import annotations

import argparse
from pathlib import Path

from torchless import Bundle

# Example to the documentation's checkpoint and the shipped sample.
MODELS = {
    "sequence_classification": ("distilbert/distilbert-base-uncased-finetuned-sst-2-english", "sentiment"),
    "paraphrase": ("google-bert/bert-base-cased-finetuned-mrpc", "nli"),
    "question_answering": ("distilbert/distilbert-base-cased-distilled-squad", "qa"),
    "fill_mask": ("distilbert/distilroberta-base", "fill-mask"),
    "named_entities": ("dbmdz/bert-large-cased-finetuned-conll03-english", "ner"),
    "causal_language_modeling": ("openai-community/gpt2", "story"),
    "text_generation": ("openai-community/gpt2", "story"),
    "summarization": ("sshleifer/distilbart-cnn-12-6", "summary"),
    "translation": ("google-t5/t5-base", "translate"),
    "audio_classification": ("superb/wav2vec2-base-superb-ks", "keywords"),
    "speech_recognition": ("facebook/wav2vec2-base-960h", "commands"),
    "image_classification": ("google/vit-base-patch16-224", "shapes"),
}


def open_bundle(example: str) -> Bundle:
    """The bundle that the command line asks for.

    ``--hub`` exports the documentation's checkpoint on first use (it needs the export extra and a hub); otherwise
    the shipped sample is used, as ``make demo`` exported it.
    """
    checkpoint, sample = MODELS[example]
    parser = argparse.ArgumentParser(description=f"{example}: with {checkpoint}, or the shipped sample {sample!r}")
    parser.add_argument("--bundles", type=Path, default=Path("build/bundles"), help="where bundles lie")
    parser.add_argument("--hub", action="store_true", help=f"use {checkpoint}")
    arguments = parser.parse_args()
    if not arguments.hub:
        return Bundle.open(arguments.bundles / sample)
    folder = arguments.bundles / checkpoint.replace("/", "--")
    if not folder.exists():
        from torchless.export import export

        export(checkpoint, folder)
    return Bundle.open(folder)
