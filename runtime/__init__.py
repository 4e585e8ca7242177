"""Run Hugging Face task checkpoints without torch: ONNX Runtime, NumPy and tokenizers only.

Example:
    >>> from torchless import pipeline
    >>> classify = pipeline("text-classification", "models/sst2")      # doctest: +SKIP
    >>> classify("Loved it.")      # doctest: +SKIP
    [{'label': 'POSITIVE', 'score': 0.9998}]
"""

from .bundle import Bundle
from .environment import cpu_count
from .errors import (
    BundleError,
    BundleNotFoundError,
    DeviceError,
    ExportError,
    InputError,
    IntegrityError,
    MissingDependencyError,
    OptionError,
    QuantizationError,
    QuantizationWarning,
    SessionError,
    TaskError,
    TorchlessError,
    TruncationWarning,
    VerificationError,
)
from .ops import l2_normalize, mean_pool, sigmoid, softmax, top_k
from .pipelines import Pipeline, pipeline
from .session import Session, Settings
from .tokenizer import Batch, Tokenizer

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "Bundle",
    "BundleError",
    "BundleNotFoundError",
    "DeviceError",
    "ExportError",
    "InputError",
    "IntegrityError",
    "MissingDependencyError",
    "OptionError",
    "Pipeline",
    "QuantizationError",
    "QuantizationWarning",
    "Session",
    "SessionError",
    "Settings",
    "TaskError",
    "Tokenizer",
    "TorchlessError",
    "TruncationWarning",
    "VerificationError",
    "__version__",
    "cpu_count",
    "l2_normalize",
    "mean_pool",
    "pipeline",
    "sigmoid",
    "softmax",
    "top_k",
]
