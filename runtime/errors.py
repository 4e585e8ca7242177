"""Every error that torchless raises on purpose.

::

    TorchlessError
    ├── BundleError              (ValueError)       a folder that cannot be used as a bundle
    │   ├── BundleNotFoundError  (FileNotFoundError) no such folder, graph or file
    │   └── IntegrityError                           a file is truncated, changed or not what the manifest says
    ├── TaskError                (ValueError)       unknown task, or a bundle made for another task
    ├── InputError               (ValueError)       an input that cannot be processed
    ├── OptionError     (TypeError, ValueError)     an unknown, malformed or contradicting option
    ├── DeviceError              (RuntimeError)     the device or execution provider cannot be had
    ├── SessionError             (RuntimeError)     ONNX Runtime refused a graph or failed while running it
    ├── MissingDependencyError   (ImportError)      an optional package is not installed, or installed twice
    ├── QuantizationError        (RuntimeError)     a graph that cannot be quantized, or not within the bound
    └── ExportError              (RuntimeError)     a checkpoint that could not be exported
        └── VerificationError                        the exported graph does not agree with the checkpoint

Each also inherits the builtin in brackets, so that ``except ValueError`` works where users expect it.
Cutting a text that is too long is not an error: it warns with :class:`TruncationWarning`; so does, with
:class:`QuantizationWarning`, a quantized graph that is slow or inexact on this machine.
"""

import sys


class TorchlessError(Exception):
    """Root of the tree: ``except TorchlessError`` catches everything that torchless raises on purpose."""


class BundleError(TorchlessError, ValueError):
    """A folder that cannot be used as a bundle."""


class BundleNotFoundError(BundleError, FileNotFoundError):
    """The folder, or a file that it must hold, does not exist."""


class IntegrityError(BundleError):
    """A file is truncated, changed, or not what the manifest says."""


class TaskError(TorchlessError, ValueError):
    """An unknown task, or a bundle made for another task."""


class InputError(TorchlessError, ValueError):
    """An input that cannot be processed."""


class OptionError(TorchlessError, TypeError, ValueError):
    """An unknown, malformed or contradicting option."""


class DeviceError(TorchlessError, RuntimeError):
    """The device or execution provider that was asked for cannot be had."""


class SessionError(TorchlessError, RuntimeError):
    """ONNX Runtime refused a graph, or failed while running it."""


class MissingDependencyError(TorchlessError, ImportError):
    """An optional package is not installed, or is installed in two conflicting builds."""


class QuantizationError(TorchlessError, RuntimeError):
    """A graph that cannot be quantized, or whose outputs then leave the bound."""


class ExportError(TorchlessError, RuntimeError):
    """A checkpoint that could not be exported."""


class VerificationError(ExportError):
    """The exported graph does not give the checkpoint's outputs within the tolerance."""


class TruncationWarning(UserWarning):
    """A text was cut to the model's limit; the message says how many tokens were lost."""


class QuantizationWarning(UserWarning):
    """A quantized graph is slower than its original on this machine, or may be inexact, or was not checked."""


def user_stacklevel() -> int:
    """The stack level of the first caller outside this package, for ``warnings.warn``."""
    package = __name__.partition(".")[0]
    frame, level = sys._getframe(1), 1
    while frame.f_back and str(frame.f_globals.get("__name__", "")).partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level
