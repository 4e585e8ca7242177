"""Export a Hugging Face checkpoint to a bundle that runs without torch.

Importing this package is cheap; torch and transformers are imported when :func:`export` is called.
"""

from .exporter import export

__all__ = ["export"]
