"""From pictures to the pixels that a model sees, by the numbers of ``preprocessor_config.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, InputError
from . import transforms
from .kinds import KINDS, Kind, kind_name
from .reading import MAX_PIXELS, check_max_pixels, load_image
from .transforms import Size

if TYPE_CHECKING:
    from PIL import Image

# Steps of other processors, which a configuration of these classes may ask for and none of them does.
_UNKNOWN_STEPS = ("do_pad", "do_thumbnail", "do_align_long_axis", "do_color_quantize", "do_crop_margin")


class ImageProcessor:
    """Resizes, crops, rescales and normalizes pictures as the checkpoint's own processor does.

    The numbers are bit for bit those of transformers' processors on Pillow and NumPy ("slow" in version 4,
    ``backend="pil"`` in 5). Those on torchvision, "fast", resize with filters of their own: their pixels differ by a
    few thousandths.

    Args:
        config: the content of ``preprocessor_config.json``.
        model_type: of ``config.json``: tells the processor where ``config`` does not.

    Attributes:
        name: transformers' class.

    Raises:
        BundleError: a processor that is not known, or malformed numbers.

    Example:
        >>> bundle = Bundle.open("models/vit")      # doctest: +SKIP
        >>> inputs = bundle.image_processor(["cats.png"])      # {"pixel_values": (1, 3, 224, 224)}  # doctest: +SKIP
        >>> softmax(bundle.session("model").run(inputs)["logits"])      # doctest: +SKIP
    """

    def __init__(self, config: Mapping[str, Any], model_type: str | None = None) -> None:
        name = kind_name(config, model_type)
        if name is None or name not in KINDS:
            known = ", ".join(KINDS)
            raise BundleError(f"the image processor {name!r} is not known; known are {known}")
        if unknown := [step for step in _UNKNOWN_STEPS if config.get(step)]:
            raise BundleError(f"{name} cannot do what preprocessor_config.json asks for: {unknown[0]}")
        self.name = name
        self._kind: Kind = KINDS[name]
        numbers = self._kind.numbers(config)
        self._size = _size(numbers, "size", self._kind.square) if numbers["do_resize"] else {}
        self._crop = _exact(numbers, "crop_size") if numbers.get("do_center_crop") else None
        self._resample = _resample(numbers["resample"])
        self._crop_pct = None if numbers.get("crop_pct") is None else _number(numbers, "crop_pct")
        self._flip = bool(numbers.get("do_flip_channel_order"))
        self._table = _table(numbers)
        if self._size:
            self._resized((480, 640))  # a size without the needed edges is told now

    @property
    def channels(self) -> int:
        """How many the model sees: 3, or 1 where ``image_mean`` has one number."""
        return len(self._table)

    def __call__(self, images: Any, max_pixels: int | None = MAX_PIXELS) -> dict[str, NDArray[np.float32]]:
        """The pixels of pictures, as the model's input.

        Args:
            images: one, or a list: whatever :func:`load_image` takes.
            max_pixels: larger pictures are refused before they are decoded.

        Returns:
            ``{"pixel_values": (batch, channels, height, width)}``

        Raises:
            InputError: a picture cannot be read, or they do not come out in one size.
        """
        check_max_pixels(max_pixels)
        batch = [self.pixels(load_image(image, max_pixels)) for image in _listed(images)]
        if not batch:
            raise InputError("no picture: an empty list")
        if len({pixels.shape for pixels in batch}) > 1:
            sizes = sorted({pixels.shape[1:] for pixels in batch})
            raise InputError(f"{self.name} keeps pictures at several sizes, {sizes}: give them one at a time")
        return {"pixel_values": np.stack(batch)}

    def pixels(self, image: Image.Image) -> NDArray[np.float32]:
        """The pixels of one RGB picture, of :func:`load_image`: ``(channels, height, width)``.

        Raises:
            InputError: it is so narrow that it cannot be resized.
        """
        if self.channels == 1:
            image = image.convert("L")
        if self._size:
            height, width = self._resized((image.height, image.width))
            if min(height, width) < 1 or height * width > MAX_PIXELS:
                raise InputError(
                    f"a picture of {image.width} x {image.height} is too narrow: it would become {width} x {height}"
                )
            image = image.resize((width, height), self._resample)
        pixels = np.asarray(image).reshape(image.height, image.width, self.channels)
        for crop in self._crops():
            pixels = transforms.center_crop(pixels, crop)
        if self._flip:
            pixels = pixels[..., ::-1]
        found = np.empty((self.channels, *pixels.shape[:2]), np.float32)
        transforms.look_up(pixels, self._table, found)
        return found

    def _resized(self, size: Size) -> Size:
        """The size that a picture is resized to."""
        wanted = self._size
        shortest = wanted.get("shortest_edge")
        if self._kind.resizing == "convnext":
            if shortest is None:
                raise BundleError(f"size of {self.name} must have shortest_edge, not {wanted}")
            if shortest >= 384:  # then the picture is squeezed, not cropped
                return shortest, shortest
            return transforms.by_shortest_edge(size, int(shortest / (self._crop_pct or 0.875)))
        if self._kind.resizing == "levit" and shortest is not None:
            return transforms.by_shortest_edge(size, int(256 / 224 * shortest))
        if self._kind.resizing == "poolformer" and self._crop_pct:
            return _enlarged(size, wanted, self._crop_pct)
        return _plain(size, wanted, self.name)

    def _crops(self) -> list[Size]:
        """The sizes that are cut out of the middle, one after the other; ConvNeXT's own is part of its resizing."""
        shortest = self._size.get("shortest_edge", 384)
        own = [(shortest, shortest)] if self._kind.resizing == "convnext" and shortest < 384 else []
        return own if self._crop is None else [*own, self._crop]


def image_processor(config: Mapping[str, Any], model_type: str | None = None) -> ImageProcessor:
    """The processor that a ``preprocessor_config.json`` describes; see :class:`ImageProcessor`."""
    return ImageProcessor(config, model_type)


def _listed(images: Any) -> Sequence[Any]:
    return images if isinstance(images, (list, tuple)) else [images]


def _plain(size: Size, wanted: Mapping[str, int], name: str) -> Size:
    shortest, longest = wanted.get("shortest_edge"), wanted.get("longest_edge")
    if shortest is not None and longest is not None:
        return transforms.by_both_edges(size, shortest, longest)
    if shortest is not None:
        return transforms.by_shortest_edge(size, shortest)
    if "max_height" in wanted and "max_width" in wanted:
        return transforms.within(size, wanted["max_height"], wanted["max_width"])
    if "height" in wanted and "width" in wanted:
        return wanted["height"], wanted["width"]
    raise BundleError(
        f"size of {name} must have height and width, shortest_edge, or max_height and max_width, not {dict(wanted)}"
    )


def _enlarged(size: Size, wanted: Mapping[str, int], crop_pct: float) -> Size:
    """PoolFormer's: so large that its crop takes a share of ``crop_pct``."""
    if "shortest_edge" in wanted:
        return transforms.by_shortest_edge(size, int(wanted["shortest_edge"] / crop_pct))
    height, width = _plain(size, wanted, "PoolFormerImageProcessor")
    if height == width:
        return transforms.by_shortest_edge(size, int(height / crop_pct))
    return int(height / crop_pct), int(width / crop_pct)


def _size(numbers: Mapping[str, Any], key: str, square: bool) -> dict[str, int]:
    """A size in any of the forms that configurations have, by the names of its edges."""
    given = numbers.get(key)
    if isinstance(given, Mapping):
        found = {str(name): value for name, value in given.items() if value is not None}
    elif isinstance(given, (list, tuple)) and len(given) == 2:
        found = {"height": given[0], "width": given[1]}
    elif square:
        found = {"height": given, "width": given}
    else:
        found = {"shortest_edge": given}
    if not found or any(type(value) is not int or value < 1 for value in found.values()):
        raise BundleError(f"{key} of preprocessor_config.json must be given in pixels, not {given!r}")
    return found


def _exact(numbers: Mapping[str, Any], key: str) -> Size:
    found = _size(numbers, key, square=True)
    if not {"height", "width"} <= set(found):
        raise BundleError(f"{key} of preprocessor_config.json must have height and width, not {found}")
    return found["height"], found["width"]


def _resample(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 5:
        raise BundleError(f"resample of preprocessor_config.json must be a filter of Pillow, 0 to 5, not {value!r}")
    return value


def _number(numbers: Mapping[str, Any], key: str) -> float:
    value = numbers.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise BundleError(f"{key} of preprocessor_config.json must be a positive number, not {value!r}")
    return float(value)


def _per_channel(numbers: Mapping[str, Any], key: str) -> list[float]:
    value = numbers.get(key)
    values = value if isinstance(value, (list, tuple)) else [value] * 3
    wrong = any(isinstance(part, bool) or not isinstance(part, (int, float)) for part in values)
    if wrong or len(values) not in (1, 3) or (key == "image_std" and 0 in values):
        raise BundleError(f"{key} of preprocessor_config.json must be a number or one for each channel, not {value!r}")
    return list(map(float, values))


def _table(numbers: Mapping[str, Any]) -> NDArray[np.float32]:
    """The value of each possible value of a pixel, by channel."""
    normalizes, again = bool(numbers["do_normalize"]), bool(numbers.get("include_top"))
    mean = _per_channel(numbers, "image_mean") if normalizes else None
    std = _per_channel(numbers, "image_std") if normalizes or again else None
    if mean is not None and std is not None and len(mean) != len(std):
        raise BundleError(f"image_mean and image_std differ in their channels: {len(mean)} and {len(std)}")
    return transforms.value_table(
        3 if std is None else len(std),
        scale=_number(numbers, "rescale_factor") if numbers["do_rescale"] else None,
        offset=bool(numbers["do_rescale"] and numbers.get("rescale_offset")),
        mean=mean,
        std=std,
        again=again,
    )
