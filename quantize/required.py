"""Packages that quantizing needs and running does not: a message that says how to get them."""

from torchless.errors import MissingDependencyError

try:
    import onnx  # noqa: F401
    import onnx_ir  # noqa: F401
except ImportError as error:
    raise MissingDependencyError(
        f"quantizing needs onnx and onnx-ir ({error}): pip install 'torchless[quantize]'"
    ) from error
