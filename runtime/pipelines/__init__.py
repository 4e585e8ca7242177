"""One pipeline class per task, and the table that joins them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .. import tasks
from ..bundle import Bundle
from ..errors import OptionError, TaskError
from ..providers import Provider
from .base import Pipeline

if TYPE_CHECKING:
    from .audio_classification import AudioClassificationPipeline
    from .automatic_speech_recognition import AutomaticSpeechRecognitionPipeline
    from .feature_extraction import FeatureExtractionPipeline
    from .fill_mask import FillMaskPipeline
    from .image_classification import ImageClassificationPipeline
    from .image_feature_extraction import ImageFeatureExtractionPipeline
    from .next_token import NextTokenPipeline
    from .question_answering import QuestionAnsweringPipeline
    from .summarization import SummarizationPipeline
    from .text2text_generation import Text2TextGenerationPipeline
    from .text_classification import TextClassificationPipeline
    from .text_generation import TextGenerationPipeline
    from .token_classification import TokenClassificationPipeline
    from .translation import TranslationPipeline
    from .zero_shot_classification import ZeroShotClassificationPipeline

__all__ = [
    "PIPELINES",
    "AudioClassificationPipeline",
    "AutomaticSpeechRecognitionPipeline",
    "FeatureExtractionPipeline",
    "FillMaskPipeline",
    "ImageClassificationPipeline",
    "ImageFeatureExtractionPipeline",
    "NextTokenPipeline",
    "Pipeline",
    "QuestionAnsweringPipeline",
    "SummarizationPipeline",
    "Text2TextGenerationPipeline",
    "TextClassificationPipeline",
    "TextGenerationPipeline",
    "TokenClassificationPipeline",
    "TranslationPipeline",
    "ZeroShotClassificationPipeline",
    "pipeline",
]

# The module is called as the task; it is imported when the task is first asked for, which keeps starting up fast.
_CLASSES = {
    "audio-classification": "AudioClassificationPipeline",
    "automatic-speech-recognition": "AutomaticSpeechRecognitionPipeline",
    "feature-extraction": "FeatureExtractionPipeline",
    "fill-mask": "FillMaskPipeline",
    "image-classification": "ImageClassificationPipeline",
    "image-feature-extraction": "ImageFeatureExtractionPipeline",
    "next-token": "NextTokenPipeline",
    "question-answering": "QuestionAnsweringPipeline",
    "summarization": "SummarizationPipeline",
    "text-classification": "TextClassificationPipeline",
    "text-generation": "TextGenerationPipeline",
    "text2text-generation": "Text2TextGenerationPipeline",
    "token-classification": "TokenClassificationPipeline",
    "translation": "TranslationPipeline",
    "zero-shot-classification": "ZeroShotClassificationPipeline",
}


class _Pipelines(Mapping[str, type[Pipeline[Any]]]):
    """Task to pipeline class."""

    def __getitem__(self, task: str) -> type[Pipeline[Any]]:
        name = _CLASSES[task]
        found: type[Pipeline[Any]] = getattr(import_module(f".{task.replace('-', '_')}", __name__), name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)


PIPELINES = _Pipelines()


def __getattr__(name: str) -> type[Pipeline[Any]]:
    for task, kind in _CLASSES.items():
        if kind == name:
            return PIPELINES[task]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def pipeline(
    task: str | None,
    model: str | os.PathLike[str] | Bundle,
    *,
    revision: str | None = None,
    dtype: str | Mapping[str, str] = "auto",
    device: str = "cpu",
    threads: int | None = None,
    providers: Sequence[Provider] | None = None,
    session_options: Mapping[str, Any] | None = None,
    provider_options: Mapping[str, Any] | None = None,
    optimized: bool | str | os.PathLike[str] = "auto",
    batch_size: int | None = None,
    **options: Any,
) -> Pipeline[Any]:
    """A callable that answers inputs of a task with a bundle.

    Args:
        task: the task, or an alias such as ``"ner"`` or ``"translation_en_to_de"``; None reads it from the bundle.
        model: a bundle's folder, a model id on the hub, or an opened bundle.
        revision: branch, tag or commit of a hub id.
        dtype: variant of the graphs: ``"fp32"``, ``"fp16"``, ..., a dictionary by role, or ``"auto"``.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"auto"``.
        threads: threads inside one operator; None takes the CPUs that the process may use.
        providers: ONNX Runtime execution providers, instead of ``device``.
        session_options: attributes and configuration entries of ``onnxruntime.SessionOptions``.
        provider_options: options of CUDA, such as ``{"gpu_mem_limit": 4 << 30}``; see :mod:`torchless.providers`.
        optimized: True or a folder keeps optimized graphs on the disk, which load faster and whose memory processes
            share; ``"auto"`` uses those that were kept; False none. See :mod:`torchless.optimized`.
        batch_size: inputs that run together at the most; None chooses by their length.
        options: defaults of the task's own options, such as ``top_k=3``.

    Raises:
        TaskError: unknown task, or a bundle made for another one.
        BundleError: the folder cannot be used.
        DeviceError: the device cannot be had.
        OptionError: an unknown, malformed or contradicting option.

    Example:
        >>> classify = pipeline("text-classification", "models/sst2")      # doctest: +SKIP
        >>> classify("Loved it.")      # doctest: +SKIP
        [{'label': 'POSITIVE', 'score': 0.9998}]
    """
    name = None if task is None else tasks.normalize(task)
    options = {**({} if task is None else tasks.options(task)), **options}
    if isinstance(model, Bundle):
        given = (revision, threads, providers, session_options, provider_options)
        if any(value is not None for value in given) or (dtype, device, optimized) != ("auto", "cpu", "auto"):
            raise OptionError("an opened bundle keeps its own dtype, device and session options")
        bundle = model
    else:
        bundle = Bundle.open(
            model, revision=revision, dtype=dtype, device=device, threads=threads, providers=providers,
            session_options=session_options, provider_options=provider_options, optimized=optimized,
        )  # fmt: skip
    if name is None:
        name = bundle.task
    if name is None:
        raise TaskError(f"{bundle.folder} does not tell its task: name it, one of {', '.join(PIPELINES)}")
    return PIPELINES[tasks.normalize(name)](bundle, batch_size=batch_size, **options)
