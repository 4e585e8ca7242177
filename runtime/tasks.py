"""The task names, their aliases, and which head of a checkpoint serves which task."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .errors import TaskError

ALIASES = {
    "sentiment-analysis": "text-classification",
    "ner": "token-classification",
    "asr": "automatic-speech-recognition",
}

# A translation may name its languages: translation_en_to_de.
_TRANSLATION = re.compile(r"translation_(\w+?)_to_(\w+)")

# The suffix of an architecture's class name tells the task: BertForSequenceClassification, RobertaForMaskedLM, ...
HEADS = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForCTC": "automatic-speech-recognition",
    "ForAudioClassification": "audio-classification",
    "ForImageClassification": "image-classification",
    "ForImageClassificationWithTeacher": "image-classification",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ModelWithLMHead": "text-generation",
    "ForConditionalGeneration": "text2text-generation",
    "MTModel": "text2text-generation",
    "Model": "feature-extraction",
}

# Architectures that hear or see, where the class names do not tell: Wav2Vec2ForSequenceClassification, ViTModel, ...
HEARING = frozenset(
    "audio-spectrogram-transformer data2vec-audio hubert moonshine sew sew-d unispeech unispeech-sat wav2vec2 "
    "wav2vec2-bert wav2vec2-conformer wavlm whisper".split()
)
SEEING = frozenset(
    "beit bit convnext convnextv2 cvt data2vec-vision deit dinov2 dinov2_with_registers efficientnet focalnet ijepa "
    "levit mobilenet_v1 mobilenet_v2 mobilevit mobilevitv2 poolformer pvt pvt_v2 regnet resnet swiftformer swin swinv2 "
    "vit vit_msn".split()
)
_HEARD = {"text-classification": "audio-classification", "text2text-generation": "automatic-speech-recognition"}
_SEEN = {"feature-extraction": "image-feature-extraction"}

# Tasks that run on a bundle made for another task: zero-shot classification reads an entailment classifier.
SERVED_BY = {
    "zero-shot-classification": "text-classification",
    "next-token": "text-generation",
    "summarization": "text2text-generation",
    "translation": "text2text-generation",
}

TASKS = tuple(dict.fromkeys((*HEADS.values(), *_SEEN.values(), *SERVED_BY)))


def normalize(task: str) -> str:
    """The canonical name of a task or alias.

    Raises:
        TaskError: no such task.

    Example:
        >>> normalize("translation_en_to_de")
        'translation'
    """
    name = "translation" if _TRANSLATION.fullmatch(task) else ALIASES.get(task, task)
    if name not in TASKS:
        known = ", ".join((*TASKS, *ALIASES))
        raise TaskError(f"unknown task {task!r}; known tasks: {known}, translation_xx_to_yy")
    return name


def options(task: str) -> dict[str, Any]:
    """What a task's name says besides the task, as options of its pipeline.

    Example:
        >>> options("translation_en_to_de")
        {'languages': ('en', 'de')}
    """
    pair = _TRANSLATION.fullmatch(task)
    return {} if pair is None else {"languages": pair.groups()}


def infer(config: Mapping[str, Any]) -> str | None:
    """The task that a ``config.json``'s ``architectures`` point to, or None where they do not tell."""
    kind = config.get("model_type")
    other = _HEARD if kind in HEARING else _SEEN if kind in SEEING else {}
    for architecture in map(str, config.get("architectures") or ()):
        if architecture.endswith("WithLMHeadModel"):  # an old name for language models of several kinds
            if config.get("is_encoder_decoder"):
                return "text2text-generation"
            continue
        if architecture.endswith("HeadsModel"):  # a language model and a classifier at once: not one of our tasks
            continue
        for suffix, task in HEADS.items():
            if architecture.endswith(suffix):
                return other.get(task, task)
    return None
