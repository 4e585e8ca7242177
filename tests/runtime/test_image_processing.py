"""Image processors on hand-made numbers; tests/fidelity/test_images.py compares them with transformers'."""

import json

import numpy as np
import pytest
from PIL import Image

from torchless import Bundle, BundleError, BundleNotFoundError, InputError
from torchless.vision import image_processor
from torchless.vision import transforms as vision

from .image_factories import PROCESSOR, make_classifier, noise, plain

PLAIN = {"image_processor_type": "ViTImageProcessor", "do_resize": False, "do_normalize": False}


def processed(config, image):
    return image_processor(config)(image)["pixel_values"]


def test_rescaling_and_normalizing():
    config = PLAIN | {"do_normalize": True, "image_mean": [0.5, 0.25, 0], "image_std": [0.5, 0.25, 2]}
    found = processed(config, plain((255, 0, 51)))
    assert found.shape == (1, 3, 5, 8)
    assert found.dtype == np.float32
    assert found[0, :, 0, 0].tolist() == pytest.approx([1, -1, 0.1], abs=1e-7)


def test_one_mean_for_all_channels():
    found = processed(PLAIN | {"do_normalize": True, "image_mean": 0.5, "image_std": 0.25}, plain((255, 0, 51)))
    assert found[0, :, 0, 0].tolist() == pytest.approx([2, -2, -1.2], abs=1e-6)


def test_without_rescaling():
    picture = noise(9, 6)
    found = processed(PLAIN | {"do_rescale": False}, picture)
    np.testing.assert_array_equal(found[0], np.array(picture).transpose(2, 0, 1))


def test_an_offset_and_a_second_division():
    config = {"image_processor_type": "EfficientNetImageProcessor", "do_resize": False, "do_normalize": False}
    config |= {"rescale_factor": 1 / 127.5, "image_std": [0.5, 1, 2]}
    for offset, again, expected in (
        (True, False, [1, -1, -0.6]),
        (False, False, [2, 0, 0.4]),
        (True, True, [2, -1, -0.3]),
    ):
        found = processed(config | {"rescale_offset": offset, "include_top": again}, plain((255, 0, 51)))
        assert found[0, :, 0, 0].tolist() == pytest.approx(expected, abs=1e-6)


def test_channels_turned_around():
    config = PLAIN | {"image_processor_type": "MobileViTImageProcessor", "do_center_crop": False}
    assert processed(config, plain((255, 0, 51)))[0, :, 0, 0].tolist() == pytest.approx([0.2, 0, 1])


def test_grey_models():
    config = PLAIN | {"do_normalize": True, "image_mean": [0.5], "image_std": [0.5]}
    assert processed(config, plain(51, mode="L")).shape == (1, 1, 5, 8)
    assert processed(config, plain((51, 51, 51)))[0, 0, 0, 0] == pytest.approx(-0.6)


@pytest.mark.parametrize(
    ("size", "wide", "tall"),
    [
        (7, (7, 7), (7, 7)),
        ([3, 9], (3, 9), (3, 9)),
        ({"height": 3, "width": 9}, (3, 9), (3, 9)),
        ({"height": 3, "width": 9, "shortest_edge": None}, (3, 9), (3, 9)),
        ({"shortest_edge": 10}, (10, 20), (20, 10)),
        ({"shortest_edge": 10, "longest_edge": 15}, (8, 15), (15, 8)),
        ({"shortest_edge": 10, "longest_edge": 99}, (10, 20), (20, 10)),
        ({"max_height": 10, "max_width": 99}, (10, 20), (10, 5)),
    ],
)
def test_sizes(size, wide, tall):
    config = PLAIN | {"do_resize": True, "size": size}
    assert processed(config, plain("red", (40, 20))).shape[2:] == wide
    assert processed(config, plain("red", (20, 40))).shape[2:] == tall


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("ViTImageProcessor", (64, 64)),
        ("ViTImageProcessorFast", (64, 64)),
        ("ViTImageProcessorPil", (64, 64)),
        ("ViTFeatureExtractor", (64, 64)),
        ("BeitFeatureExtractor", (224, 224)),
        ("CLIPImageProcessor", (224, 224)),
        ("ConvNextFeatureExtractor", (64, 64)),
        ("PvtImageProcessor", (64, 64)),
    ],
)
def test_old_configurations_say_little(name, shape):
    key = "feature_extractor_type" if "Extractor" in name else "image_processor_type"
    assert processed({key: name, "size": 64}, noise(90, 70)).shape == (1, 3, *shape)


def test_one_number_is_a_square_or_the_shorter_edge():
    for name, shape in (("ViT", (32, 32)), ("CLIP", (32, 64)), ("MobileNetV2", (32, 64))):
        config = {"image_processor_type": f"{name}ImageProcessor", "size": 32, "do_center_crop": False}
        assert processed(config, noise(80, 40)).shape[2:] == shape


def test_convnext_crops_what_is_small_and_squeezes_what_is_large():
    config = PLAIN | {"image_processor_type": "ConvNextImageProcessor", "do_resize": True, "resample": 0}
    picture = Image.fromarray(np.arange(100, dtype=np.uint8)[None].repeat(50, axis=0))  # a column, a value
    small = processed(config | {"size": {"shortest_edge": 40}, "crop_pct": 0.8, "do_rescale": False}, picture)
    assert small.shape == (1, 3, 40, 40)
    assert small[0, 0, 0].tolist() == list(range(30, 70))
    large = processed(config | {"size": {"shortest_edge": 400}, "do_rescale": False}, picture)
    assert large.shape == (1, 3, 400, 400)
    assert large[0, 0, 0].tolist() == [column // 4 for column in range(400)]


@pytest.mark.parametrize(
    ("length", "wanted", "expected"),
    [
        (5, 5, [1, 2, 3, 4, 5]),
        (5, 3, [2, 3, 4]),
        (5, 2, [2, 3]),
        (4, 1, [2]),
        (2, 4, [0, 1, 2, 0]),
        (2, 5, [0, 0, 1, 2, 0]),
        (1, 2, [0, 1]),
    ],
)
def test_the_middle_and_what_stands_around_it(length, wanted, expected):
    row = np.arange(1, length + 1, dtype=np.uint8)[None, :, None]
    assert vision.center_crop(row, (1, wanted))[0, :, 0].tolist() == expected
    assert vision.center_crop(row.transpose(1, 0, 2), (wanted, 1))[:, 0, 0].tolist() == expected


def test_a_batch():
    pictures = [noise(20, 10, seed) for seed in range(3)]
    process = image_processor(PROCESSOR)
    together = process(pictures)["pixel_values"]
    assert together.shape == (3, 3, 4, 6)
    for picture, found in zip(pictures, together, strict=True):
        np.testing.assert_array_equal(process(picture)["pixel_values"][0], found)
    np.testing.assert_array_equal(process([np.array(picture) for picture in pictures])["pixel_values"], together)


def test_the_bundle_has_it(tmp_path):
    folder = make_classifier(tmp_path / "bundle")
    bundle = Bundle.open(folder)
    assert bundle.image_processor is bundle.image_processor
    inputs = bundle.image_processor(plain((255, 0, 51)))
    assert bundle.session("model").run(inputs)["logits"][0].tolist() == pytest.approx([4, 0, 0.8])


def test_a_configuration_without_a_name_has_its_model_s(tmp_path):
    folder = make_classifier(tmp_path / "bundle", model_type="resnet")
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": 64, "crop_pct": 0.5}), encoding="utf-8")
    assert Bundle.open(folder).image_processor.name == "ConvNextImageProcessor"


def test_a_folder_of_transformers_5(tmp_path):
    folder = make_classifier(tmp_path / "bundle")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(BundleNotFoundError, match=r"no preprocessor_config\.json"):
        Bundle.open(folder).image_processor  # noqa: B018
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": PROCESSOR}), encoding="utf-8")
    assert Bundle.open(folder).image_processor(plain("red"))["pixel_values"].shape == (1, 3, 4, 6)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "image processor None is not known; known are BeitImageProcessor"),
        ({"image_processor_type": "DetrImageProcessor"}, "image processor 'DetrImageProcessor' is not known"),
        (PROCESSOR | {"do_pad": True}, "cannot do what .* asks for: do_pad"),
        (PROCESSOR | {"size": "large"}, "size of .* in pixels, not 'large'"),
        (PROCESSOR | {"size": 0}, "size of .* in pixels, not 0"),
        (PROCESSOR | {"size": 2.5}, "size of .* in pixels, not 2.5"),
        (PROCESSOR | {"size": {}}, "size of .* in pixels"),
        (PROCESSOR | {"size": {"longest_edge": 9}}, "must have height and width, shortest_edge"),
        (PROCESSOR | {"image_processor_type": "ConvNextImageProcessor"}, "must have shortest_edge"),
        (PROCESSOR | {"do_center_crop": True, "crop_size": {"shortest_edge": 9}}, "must have height and width"),
        (PROCESSOR | {"do_center_crop": True}, "crop_size of .* in pixels, not None"),
        (PROCESSOR | {"resample": 6}, "a filter of Pillow, 0 to 5, not 6"),
        (PROCESSOR | {"resample": "bilinear"}, "a filter of Pillow"),
        (PROCESSOR | {"rescale_factor": "1/255"}, "rescale_factor .* positive number"),
        (PROCESSOR | {"do_normalize": True, "image_mean": [0, 0]}, "image_mean .* one for each channel"),
        (PROCESSOR | {"do_normalize": True, "image_std": [0, 1, 1]}, "image_std .* one for each channel"),
        (PROCESSOR | {"do_normalize": True, "image_mean": [0]}, "differ in their channels: 1 and 3"),
    ],
)
def test_malformed_configurations(config, message):
    with pytest.raises(BundleError, match=message):
        image_processor(config)


def test_pictures_of_several_sizes():
    with pytest.raises(InputError, match=r"several sizes, \[\(5, 8\), \(6, 8\)\]: give them one at a time"):
        image_processor(PLAIN)([plain("red", (8, 5)), plain("red", (8, 6))])
    with pytest.raises(InputError, match="an empty list"):
        image_processor(PLAIN)([])


def test_a_picture_that_is_a_line():
    config = {"image_processor_type": "CLIPImageProcessor", "size": 224}
    with pytest.raises(InputError, match="100000 x 1 is too narrow: it would become 22400000 x 224"):
        processed(config, np.zeros((1, 100_000), np.uint8))
    config = PLAIN | {"do_resize": True, "size": {"shortest_edge": 10, "longest_edge": 20}}
    with pytest.raises(InputError, match="1000 x 1 is too narrow: it would become 20 x 0"):
        processed(config, np.zeros((1, 1000), np.uint8))


def test_limit():
    with pytest.raises(InputError, match="more than max_pixels=39"):
        image_processor(PLAIN)(plain("red"), max_pixels=39)
