"""Reading pictures: everything that may hold one, every mode, rotation, limits, and what is none."""

import base64
import io
import struct
import sys
import threading
import warnings
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, features

from torchless import InputError, MissingDependencyError, OptionError
from torchless.vision import load_image

from .image_factories import encoded, noise, plain

PICTURE = noise(7, 5)
PIXELS = np.array(PICTURE)
PNG = encoded(PICTURE)


def png_head(width, height, depth=8, colour=2):
    """The beginning of a PNG file that promises a size; no pixels follow."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = (b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")
    parts = [struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))
             for name, part in chunks]  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def pixels(source, **options):
    image = load_image(source, **options)
    assert image.mode == "RGB"
    return np.array(image)


class HasArray:
    """As tensors of other libraries are."""

    def __array__(self, dtype=None, copy=None):
        return PIXELS


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "a picture.png"
    file.write_bytes(PNG)
    return file


def sources(path):
    text = base64.b64encode(PNG).decode()
    return {
        "path": path,
        "text": str(path),
        "bytes": PNG,
        "bytearray": bytearray(PNG),
        "memoryview": memoryview(PNG),
        "file": io.BytesIO(PNG),
        "image": PICTURE,
        "opened": Image.open(path),
        "array": PIXELS,
        "int64": PIXELS.astype(np.int64),
        "floats": PIXELS / 255,
        "float32": (PIXELS / 255).astype(np.float32),
        "float16": (PIXELS / 255).astype(np.float16),
        "channels first": np.moveaxis(PIXELS, -1, 0),
        "opaque": np.dstack([PIXELS, np.full((5, 7), 9, np.uint8)]),
        "tensor": HasArray(),
        "base64": text,
        "base64 in lines": "\n".join(text[start : start + 60] for start in range(0, len(text), 60)),
        "data": f"data:image/png;base64,{text}",
    }


def test_everything_that_holds_a_picture(path):
    for kind, source in sources(path).items():
        np.testing.assert_array_equal(pixels(source), PIXELS, err_msg=kind)


def test_a_relative_path_and_an_open_file(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    np.testing.assert_array_equal(pixels(path.name), PIXELS)
    with path.open("rb") as file:
        np.testing.assert_array_equal(pixels(file), PIXELS)
        assert not file.closed


def test_grey_arrays():
    grey = PIXELS[..., 0]
    for array in (grey, grey[..., None], grey[None], grey / 255):
        np.testing.assert_array_equal(pixels(array), np.repeat(grey[..., None], 3, axis=-1))


def test_where_both_ends_may_be_channels_the_last_one_is():
    array = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    np.testing.assert_array_equal(pixels(array), array)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (plain(1, mode="1"), (255, 255, 255)),
        (plain(70, mode="L"), (70, 70, 70)),
        (plain((70, 0), mode="LA"), (70, 70, 70)),
        (plain((1, 2, 3, 0), mode="RGBA"), (1, 2, 3)),
        (plain((255, 0, 255, 0), mode="CMYK"), (0, 255, 0)),
        (plain((100, 128, 128), mode="YCbCr"), (100, 100, 100)),
        (plain(200, mode="I"), (200, 200, 200)),
        (plain(200, mode="I;16"), (200, 200, 200)),
        (plain(200.7, mode="F"), (200, 200, 200)),
        (plain((0, 255, 255), mode="HSV"), (255, 0, 0)),
    ],
    ids=lambda value: getattr(value, "mode", ""),
)
def test_modes(image, expected):
    found = pixels(image)
    assert found.shape == (5, 8, 3)
    assert (found == expected).all()


@pytest.mark.parametrize("transparency", [0, b"\x00\x80"])
def test_a_palette_with_transparency(transparency):
    image = Image.new("P", (4, 3))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.info["transparency"] = transparency
    for source in (image, encoded(image, transparency=transparency)):
        found = pixels(source)
        assert found[0, :2].tolist() == [[10, 20, 30], [40, 50, 60]]
    assert image.info["transparency"] == transparency  # a caller's picture is left as it is


@pytest.mark.parametrize(("mode", "dtype"), [("I;16", np.uint16), ("I", np.int32), ("F", np.float32)])
def test_values_beyond_8_bits_are_cut_with_a_warning(mode, dtype):
    image = Image.fromarray(np.array([[0, 255, 256, 60000]], dtype))
    assert image.mode == mode
    with pytest.warns(UserWarning, match="values from 0.* to 60000.* cut"):
        assert pixels(image)[0, :, 0].tolist() == [0, 255, 255, 255]


def test_a_16_bit_file():
    content = encoded(Image.fromarray(np.array([[0, 100, 40000]], np.uint16)))
    with pytest.warns(UserWarning, match="cut"):
        assert pixels(content)[0, :, 0].tolist() == [0, 100, 255]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotation(kind, orientation):
    if kind == "WEBP" and not features.check("webp"):
        pytest.skip("this Pillow writes no WebP")
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = plain("black", (16, 32))
    image.paste("white", (0, 0, 8, 16))  # the corner where rows and columns begin
    found = pixels(encoded(image, kind, exif=exif))
    assert found.shape == ((32, 16, 3) if orientation < 5 else (16, 32, 3))
    bright = found[..., 0] > 128
    # Where the first row and the first column of the file are to be seen: top or bottom, left or right.
    top = orientation in (1, 2, 5, 6) if orientation < 5 else orientation in (5, 6)
    left = orientation in (1, 4) if orientation < 5 else orientation in (5, 8)
    rows = slice(0, bright.shape[0] // 2) if top else slice(bright.shape[0] // 2, None)
    columns = slice(0, bright.shape[1] // 2) if left else slice(bright.shape[1] // 2, None)
    assert bright[rows, columns].mean() > 0.95
    assert bright.sum() < 0.3 * bright.size


@pytest.mark.parametrize("exif", [b"Exif\x00\x00nonsense", b"Exif\x00\x00II*\x00\xff\xff\xff\x7f", b"x" * 30])
@pytest.mark.parametrize("action", ["error", "ignore"])
def test_damaged_rotation_is_none(exif, action):
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        assert pixels(encoded(PICTURE, "JPEG", exif=exif)).shape == (5, 7, 3)


def test_of_an_animation_the_first_frame():
    frames = [plain(colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (pixels(content) == (255, 0, 0)).all()


def test_pictures_of_one_pixel():
    assert pixels(np.array([[3]], np.uint8)).tolist() == [[[3, 3, 3]]]


@pytest.mark.parametrize("count", [1, 34])
def test_limit(count):
    with pytest.raises(InputError, match=f"7 x 5: more than max_pixels={count}"):
        load_image(PNG, max_pixels=count)
    with pytest.raises(InputError, match="more than max_pixels"):
        load_image(PICTURE, max_pixels=count)
    with pytest.raises(InputError, match="more than max_pixels"):
        load_image(PIXELS, max_pixels=count)
    np.testing.assert_array_equal(pixels(PNG, max_pixels=35), PIXELS)
    np.testing.assert_array_equal(pixels(PNG, max_pixels=None), PIXELS)


@pytest.mark.parametrize("action", ["error", "ignore"])
def test_100_megapixels_are_refused_before_they_are_decoded(action):
    content = png_head(10_000, 10_000)
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        with pytest.raises(InputError, match="10000 x 10000: more than max_pixels=89,478,485"):
            load_image(content)
        with pytest.raises(InputError, match="cannot be decoded"):  # now it is tried: there are no pixels
            load_image(content, max_pixels=100_000_000)
        with pytest.raises(InputError, match=r"refused by Pillow, see PIL\.Image\.MAX_IMAGE_PIXELS"):
            load_image(png_head(20_000, 20_000), max_pixels=None)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("limit", [0, -1, 1.5, "many", True])
def test_malformed_limit(limit):
    with pytest.raises(OptionError, match="max_pixels must be a positive integer or None"):
        load_image(PNG, max_pixels=limit)


JPEG = encoded(noise(64, 64), "JPEG")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "empty: 0 bytes"),
        (io.BytesIO(), "empty: 0 bytes"),
        (b"not a picture at all", "not a picture of a format that Pillow reads"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "not a picture of a format that Pillow reads"),
        (JPEG[: len(JPEG) // 2], "cannot be decoded: .*truncated"),
        (JPEG[:-40], "cannot be decoded: .*truncated"),
        (PNG[:60], "cannot be decoded"),
        (PNG[:10], "not a picture|cannot be decoded"),
        ("nowhere.png", "there is no file nowhere.png"),
        ("images/cats", "there is no file images/cats"),
        ("x" * 5000, "no file but base64, is not a picture"),
        ("a\0b", "there is no file"),
        ("", "there is no file|cannot read"),
        ("https://example.org/cat.png", "downloads no pictures"),
        ("data:image/png;base64,", "with a picture in base64"),
        ("data:image/png;base64,????", "with a picture in base64"),
        ("data:image/png;base64,aGVsbG8gd29ybGQ=", "not a picture of a format"),
        (io.StringIO("text"), "opened for binary reading"),
        (5, "a picture is a path, bytes.* not int"),
        (None, "a picture is a path, bytes.* not NoneType"),
        (np.zeros((0, 4, 3), np.uint8), "without pixels"),
        (np.zeros((5, 4, 2), np.uint8), r"channels, not \(5, 4, 2\)"),
        (np.zeros(4, np.uint8), r"not \(4,\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"not \(2, 4, 4, 3\)"),
        (np.full((4, 4), np.nan), "from 0 to 1, not from nan"),
        (np.full((4, 4), 1.5), "from 0 to 1, not from 1.5"),
        (np.full((4, 4), -1), "from 0 to 255, not from -1"),
        (np.full((4, 4), 65535, np.uint16), "from 0 to 255, not from 65535"),
        (np.full((4, 4), "a"), "whole numbers or floats, not <U1"),
        (np.full((4, 4), True), "whole numbers or floats, not bool"),
        (Image.new("RGB", (0, 5)), "has no pixels: it is 0 x 5"),
        (plain((1, 2), mode="La"), "mode 'La', which Pillow cannot make RGB"),
    ],
    ids=range(32),
)
def test_what_is_no_picture(source, message):
    with pytest.raises(InputError, match=message):
        load_image(source)


def test_files_that_are_no_pictures(tmp_path):
    empty = tmp_path / "empty.png"
    empty.touch()
    for source in (empty, str(empty)):
        with pytest.raises(InputError, match=r"empty\.png is empty: 0 bytes"):
            load_image(source)
    with pytest.raises(InputError, match=r"cannot read .*: Is a directory"):
        load_image(tmp_path)
    with pytest.raises(InputError, match=r"there is no file .*other"):
        load_image(tmp_path / "other.png")
    damaged = tmp_path / "half.jpg"
    damaged.write_bytes(JPEG[:600])
    with pytest.raises(InputError, match=r"half\.jpg cannot be decoded"):
        load_image(damaged)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("action", ["error", "ignore"])
def test_any_damage_is_an_input_error(kind, action):
    if kind == "WEBP" and not features.check("webp"):
        pytest.skip("this Pillow writes no WebP")
    content = encoded(noise(24, 20), kind)
    rng = np.random.default_rng(5)
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        for _ in range(60):
            damaged = bytearray(content[: rng.integers(1, len(content) + 1)])
            for place in rng.integers(0, min(len(damaged), 200), 4):
                damaged[place] = rng.integers(256)
            with suppress(InputError):
                assert load_image(bytes(damaged), max_pixels=10**6).mode == "RGB"


def test_from_many_threads(path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(pixels(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all((one == PIXELS).all() for one in found)


def test_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'torchless\[vision\]'"):
        load_image(PNG)
