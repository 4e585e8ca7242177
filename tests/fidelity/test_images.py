"""Pictures against transformers: reading, processors (recorded of 4.57.6, and the installed 5), and pipelines."""

from __future__ import annotations

import base64
import io
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image

from tests.runtime.image_factories import make_classifier
from torchless import Bundle, pipeline, softmax
from torchless.vision import image_processor, load_image

from . import image_cases
from .image_cases import SETTINGS, SIZES, picture

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.export

MODULES = {
    "ViTImageProcessor": "vit",
    "DeiTImageProcessor": "deit",
    "BeitImageProcessor": "beit",
    "ConvNextImageProcessor": "convnext",
    "CLIPImageProcessor": "clip",
    "BitImageProcessor": "bit",
    "ChineseCLIPImageProcessor": "chinese_clip",
    "MobileNetV1ImageProcessor": "mobilenet_v1",
    "MobileNetV2ImageProcessor": "mobilenet_v2",
    "MobileViTImageProcessor": "mobilevit",
    "EfficientNetImageProcessor": "efficientnet",
    "PvtImageProcessor": "pvt",
    "LevitImageProcessor": "levit",
    "PoolFormerImageProcessor": "poolformer",
    "SiglipImageProcessor": "siglip",
}
PICTURES = [picture(*size) for size in SIZES]


def reference(name: str, options: dict[str, Any]) -> Any:
    """The installed transformers' processor on Pillow."""
    module = import_module(f"transformers.models.{MODULES[name]}.image_processing_pil_{MODULES[name]}")
    return getattr(module, f"{name}Pil")(**options)


@pytest.mark.parametrize("name", SETTINGS)
def test_recorded_pixels(name: str) -> None:
    """Bit for bit, also where a configuration leaves out what 4.57.6 had as its default."""
    content = image_cases.recorded()
    rows = [row for row in content["cases"] if row["class"] == name]
    assert len(rows) == len(SETTINGS[name]) * len(SIZES)
    for row in rows:
        process = image_processor({"image_processor_type": name, **row["options"]})
        found = image_cases.summary(process(picture(*row["size"]))["pixel_values"])
        expected = {key: row[key] for key in found}
        assert found["shape"] == expected["shape"], row
        if content["versions"]["pillow"] == PIL.__version__:
            assert found == expected, row
        else:  # another Pillow may round otherwise: by one step of a pixel
            assert found["values"] == pytest.approx(expected["values"], abs=0.02), row


@pytest.mark.parametrize("name", SETTINGS)
def test_pixels(name: str) -> None:
    for options in SETTINGS[name]:
        theirs = reference(name, options)
        ours = image_processor(json.loads(theirs.to_json_string()))
        for image in PICTURES:
            expected = theirs(image, return_tensors="np")["pixel_values"].astype(np.float32)
            np.testing.assert_array_equal(ours(image)["pixel_values"], expected, err_msg=f"{name} {options}")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "PA", "RGBX"])
def test_reading_any_mode(mode: str) -> None:
    base = picture(40, 30)
    base.putalpha(base.getchannel("G"))
    image = base.convert("LA").convert("PA") if mode == "PA" else base.convert("RGB" if mode != "RGBA" else mode)
    image = image if mode == "PA" else image.convert(mode)
    assert image.mode == mode
    np.testing.assert_array_equal(np.array(load_image(image)), np.array(transformers.image_utils.load_image(image)))


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", "RGBA"), ("PNG", "LA"), ("PNG", "P"), ("PNG", "1"), ("JPEG", "L"), ("JPEG", "CMYK"), ("GIF", "P"),
     ("TIFF", "CMYK"), ("WEBP", "RGBA"), ("BMP", "RGB")],
)  # fmt: skip
@pytest.mark.parametrize("orientation", [None, 3, 6])
def test_reading_files(kind: str, mode: str, orientation: int | None, tmp_path: Path) -> None:
    exif = Image.Exif()
    if orientation is not None and kind not in ("GIF", "BMP"):
        exif[0x0112] = orientation
    path = tmp_path / "picture"
    more = {} if kind in ("GIF", "BMP") else {"exif": exif}
    picture(60, 40).convert(mode).save(path, kind, **more)
    # Not by its path: then Pillow maps some TIFF files into memory, and forgets to rotate them.
    expected = np.array(transformers.image_utils.load_image(Image.open(io.BytesIO(path.read_bytes()))))
    text = base64.b64encode(path.read_bytes()).decode()
    for source in (path, path.read_bytes(), io.BytesIO(path.read_bytes()), text, f"data:image/png;base64,{text}"):
        np.testing.assert_array_equal(np.array(load_image(source)), expected)


CLASSES = {
    "vit": ("ViTImageProcessor", {}),
    "deit": ("DeiTImageProcessor", {}),
    "beit": ("BeitImageProcessor", {"do_center_crop": True}),
    "swin": ("ViTImageProcessor", {"resample": 3}),
    "convnext": ("ConvNextImageProcessor", {"crop_pct": 0.8}),
    "resnet": ("ConvNextImageProcessor", {}),
    "mobilenet_v2": ("MobileNetV2ImageProcessor", {}),
}


class Models:
    """Small random checkpoints with the processors of their architectures, and bundles of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, model_type: str, architecture: str = "AutoModelForImageClassification") -> tuple[Path, Path]:
        """The folders of a checkpoint and of its bundle."""
        from tests.export import media
        from torchless.export import export

        source = self.folder / f"{model_type}-{architecture}"
        if not source.exists():
            # Of two classes that serve it the auto class takes none.
            distilled = model_type == "deit" and architecture != "AutoModel"
            media.images(source, model_type, "DeiTForImageClassification" if distilled else architecture)
            size = media.IMAGE_MODELS[model_type][0]
            processor(model_type, size).save_pretrained(source)
            export(str(source), source / "bundle")
        return source, source / "bundle"


def processor(model_type: str, size: int) -> Any:
    name, options = CLASSES[model_type]
    square = {"height": size, "width": size}
    if name == "ConvNextImageProcessor":
        return reference(name, {"size": {"shortest_edge": size}, **options})
    if name == "MobileNetV2ImageProcessor":
        return reference(name, {"size": {"shortest_edge": size + 9}, "crop_size": square, **options})
    if name == "ViTImageProcessor":
        return reference(name, {"size": square, **options})
    return reference(name, {"size": {"height": size + 5, "width": size + 5}, "crop_size": square, **options})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("images"))


def theirs(task: str, source: Path) -> Any:
    kind = "AutoModelForImageClassification" if task == "image-classification" else "AutoModel"
    model = getattr(transformers, kind).from_pretrained(source).eval()
    image_processor = transformers.AutoImageProcessor.from_pretrained(source, backend="pil")
    return transformers.pipeline(task, model=model, image_processor=image_processor, device="cpu")


def inputs(tmp_path: Path) -> list[Any]:
    """Paths and pictures of several sizes and modes."""
    rotated = tmp_path / "rotated.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(90, 60).save(rotated, exif=exif)
    return [str(rotated), *PICTURES, picture(70, 70).convert("L"), picture(33, 44).convert("RGBA"), picture(1, 1)]


@pytest.mark.parametrize("model_type", CLASSES)
def test_classification(model_type: str, models: Models, tmp_path: Path) -> None:
    source, bundle = models(model_type)
    reference_pipeline, pictures = theirs("image-classification", source), inputs(tmp_path)
    for options in ({}, {"top_k": 1}, {"top_k": 99, "function_to_apply": "none"}, {"function_to_apply": "sigmoid"}):
        expected = reference_pipeline(pictures, **options)
        for batch_size in (1, 3):
            found = pipeline("image-classification", bundle, batch_size=batch_size)(pictures, **options)
            for one, other in zip(found, expected, strict=True):
                assert_same(one, other)
    assert_same(pipeline("image-classification", bundle)(pictures[0]), reference_pipeline(pictures[0]))


def assert_same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """The same scores in order, and the same labels wherever two scores are not next to equal."""
    scores = [row["score"] for row in expected]
    assert [row["score"] for row in found] == pytest.approx(scores, abs=1e-4)
    if np.min(np.abs(np.diff(scores)), initial=1) > 1e-5 and len(scores) > 1:
        assert [row["label"] for row in found] == [row["label"] for row in expected]


def test_recorded_answers(tmp_path: Path) -> None:
    """Which function and how many labels, for every problem that a checkpoint may have been trained on."""
    rows = image_cases.recorded()["answers"]
    assert len(rows) == len(image_cases.PROBLEMS) * len(image_cases.LOGITS) * len(image_cases.OPTIONS)
    for index, row in enumerate(rows):
        labels = tuple(f"LABEL_{number}" for number in range(len(row["logits"])))
        weights = [row["logits"], *([[0.0] * len(labels)] * 2)]  # a red picture has these logits
        folder = make_classifier(tmp_path / str(index), labels=labels, weights=weights, problem_type=row["problem"])
        found = pipeline("image-classification", folder)(Image.new("RGB", (8, 8), "red"), **row["options"])
        assert [one["label"] for one in found] == [one["label"] for one in row["answer"]], row
        assert [one["score"] for one in found] == pytest.approx([one["score"] for one in row["answer"]], abs=1e-6), row


@pytest.mark.parametrize("model_type", ["vit", "resnet"])
def test_features(model_type: str, models: Models, tmp_path: Path) -> None:
    source, bundle = models(model_type, "AutoModel")
    reference_pipeline, pictures = theirs("image-feature-extraction", source), inputs(tmp_path)
    for options in ({}, {"pool": True}):
        expected = reference_pipeline(pictures, **options)
        for batch_size in (None, 4):
            found = pipeline("image-feature-extraction", bundle, batch_size=batch_size)(pictures, **options)
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one, np.array(other), atol=1e-4, rtol=1e-4)


def test_without_a_pipeline(models: Models, tmp_path: Path) -> None:
    """Direct use: processor, session, softmax."""
    source, folder = models("convnext")
    bundle, pictures = Bundle.open(folder), inputs(tmp_path)
    logits = bundle.session("model").run(bundle.image_processor(pictures))["logits"]
    for row, expected in zip(softmax(logits), theirs("image-classification", source)(pictures, top_k=99), strict=True):
        assert row.max() == pytest.approx(expected[0]["score"], abs=1e-4)


def test_two_cats(shared_data: Path, models: Models) -> None:
    """The picture of transformers' own tests, 640 x 480."""
    path = shared_data / "datasets" / "images" / "coco" / "000000039769.png"
    if not path.is_file():
        pytest.skip(f"no {path}")
    image = transformers.image_utils.load_image(str(path))
    for name, settings in SETTINGS.items():
        process = reference(name, settings[0])
        expected = process(image, return_tensors="np")["pixel_values"].astype(np.float32)
        found = image_processor(json.loads(process.to_json_string()))(path)["pixel_values"]
        np.testing.assert_array_equal(found, expected, err_msg=name)
    source, bundle = models("vit")
    found = pipeline("image-classification", bundle)(path)
    assert_same(found, theirs("image-classification", source)(str(path)))
