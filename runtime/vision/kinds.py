"""The image processors that transformers has for models of one picture: their defaults, and how they resize."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Resizing = Literal["plain", "convnext", "levit", "poolformer"]

_HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
_IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
_CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
_ALWAYS = {"do_resize": True, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
_CROPPED = {"do_center_crop": True, "crop_size": 224}
_EFFICIENT = {"crop_size": 289, "include_top": True, "rescale_offset": False}
_NEAREST, _BILINEAR, _BICUBIC = 0, 2, 3
# What only some classes do; the others leave such entries of a configuration unread.
_OWN = frozenset({"crop_pct", "do_flip_channel_order", "include_top", "rescale_offset"})


@dataclass(frozen=True)
class Kind:
    """One of transformers' processors.

    Attributes:
        defaults: what a configuration leaves out, as of transformers 4.57: old ones say little.
        square: whether a size of one number is a square; otherwise it is the shorter edge.
        resizing: the rule by which ``size`` becomes the size of a picture.
    """

    defaults: Mapping[str, Any]
    square: bool = True
    resizing: Resizing = "plain"

    def numbers(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration together with what it leaves out, and without what the class does not read."""
        unread = _OWN - set(self.defaults)
        given = {key: value for key, value in config.items() if value is not None and key not in unread}
        return {**self.defaults, **given}


def _kind(
    resample: int, size: int, numbers: Mapping[str, Any], *more: Mapping[str, Any], square: bool = True,
    resizing: Resizing = "plain",
) -> Kind:  # fmt: skip
    defaults = {**_ALWAYS, "resample": resample, "size": size, **numbers}
    for part in more:
        defaults |= part
    return Kind(defaults, square, resizing)


_CLIP_LIKE = _kind(_BICUBIC, 224, _CLIP, _CROPPED, square=False)
_MOBILE_NET = _kind(_BILINEAR, 256, _HALF, _CROPPED, square=False)

KINDS = {
    "BeitImageProcessor": _kind(_BICUBIC, 256, _HALF, _CROPPED),
    "BitImageProcessor": _CLIP_LIKE,
    "ChineseCLIPImageProcessor": _CLIP_LIKE,
    "CLIPImageProcessor": _CLIP_LIKE,
    "ConvNextImageProcessor": _kind(_BILINEAR, 384, _HALF, {"crop_pct": 0.875}, square=False, resizing="convnext"),
    "DeiTImageProcessor": _kind(_BICUBIC, 256, _HALF, _CROPPED),
    "EfficientNetImageProcessor": _kind(_NEAREST, 346, _HALF, _EFFICIENT),
    "LevitImageProcessor": _kind(_BICUBIC, 224, _IMAGENET, _CROPPED, square=False, resizing="levit"),
    "MobileNetV1ImageProcessor": _MOBILE_NET,
    "MobileNetV2ImageProcessor": _MOBILE_NET,
    "MobileViTImageProcessor": _kind(
        _BILINEAR, 224, {}, _CROPPED, {"crop_size": 256, "do_normalize": False, "do_flip_channel_order": True},
        square=False,
    ),
    "PoolFormerImageProcessor": _kind(
        _BICUBIC, 224, _IMAGENET, _CROPPED, {"crop_pct": 0.9}, square=False, resizing="poolformer"
    ),
    "PvtImageProcessor": _kind(_BILINEAR, 224, _IMAGENET),
    "SiglipImageProcessor": _kind(_BICUBIC, 224, _HALF),
    "ViTHybridImageProcessor": _CLIP_LIKE,
    "ViTImageProcessor": _kind(_BILINEAR, 224, _HALF),
}  # fmt: skip

# The processor of a model whose configuration names none, as the oldest on the hub do.
OF_MODELS = {
    "beit": "BeitImageProcessor",
    "bit": "BitImageProcessor",
    "convnext": "ConvNextImageProcessor",
    "convnextv2": "ConvNextImageProcessor",
    "cvt": "ConvNextImageProcessor",
    "data2vec-vision": "BeitImageProcessor",
    "deit": "DeiTImageProcessor",
    "dinov2": "BitImageProcessor",
    "dinov2_with_registers": "BitImageProcessor",
    "efficientnet": "EfficientNetImageProcessor",
    "focalnet": "BitImageProcessor",
    "ijepa": "ViTImageProcessor",
    "levit": "LevitImageProcessor",
    "mobilenet_v1": "MobileNetV1ImageProcessor",
    "mobilenet_v2": "MobileNetV2ImageProcessor",
    "mobilevit": "MobileViTImageProcessor",
    "mobilevitv2": "MobileViTImageProcessor",
    "poolformer": "PoolFormerImageProcessor",
    "pvt": "PvtImageProcessor",
    "pvt_v2": "PvtImageProcessor",
    "regnet": "ConvNextImageProcessor",
    "resnet": "ConvNextImageProcessor",
    "swiftformer": "ViTImageProcessor",
    "swin": "ViTImageProcessor",
    "swinv2": "ViTImageProcessor",
    "vit": "ViTImageProcessor",
    "vit_msn": "ViTImageProcessor",
}


def kind_name(config: Mapping[str, Any], model_type: str | None = None) -> str | None:
    """The processor that a configuration names, without what tells it from its twins; None where nothing does.

    Example:
        >>> kind_name({"feature_extractor_type": "ViTFeatureExtractor"})
        'ViTImageProcessor'
        >>> kind_name({}, "swin")
        'ViTImageProcessor'
    """
    named = config.get("image_processor_type") or config.get("feature_extractor_type")
    if named is None:
        return OF_MODELS.get(model_type or "")
    return str(named).removesuffix("Fast").removesuffix("Pil").replace("FeatureExtractor", "ImageProcessor")
