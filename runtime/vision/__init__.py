"""Pictures: reading them, and the pixels that models see. Needs the extra ``torchless[vision]``."""

from __future__ import annotations

from .processing import ImageProcessor, image_processor
from .reading import load_image

__all__ = ["ImageProcessor", "image_processor", "load_image"]
