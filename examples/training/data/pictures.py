"""Drawn pictures of one coloured thing."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from .names import Split


Colour = tuple[int, int, int]
Points = list[tuple[float, float]]

COLOURS: dict[str, Colour] = {
    "red": (215, 30, 35),
    "orange": (245, 135, 20),
    "yellow": (245, 220, 30),
    "green": (40, 155, 60),
    "blue": (35, 75, 205),
    "purple": (130, 50, 160),
    "black": (20, 20, 20),
    "white": (248, 248, 248),
}
# The corners of a shape of radius 1 around the middle, as a polygon.
SHAPES: dict[str, Callable[[], Points]] = {
    "circle": lambda: _ring(60),
    "triangle": lambda: _ring(3),
    "square": lambda: _ring(4, math.pi / 4),
    "star": lambda: _ring(10, radii=(1.0, 0.42)),
    "cross": lambda: [
        point
        for arm in range(4)
        for point in _turned([(-0.32, -0.95), (0.32, -0.95), (0.32, -0.32)], arm * math.pi / 2)
    ],
    "ring": lambda: _ring(60),
}
LABELS = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]


class Example(NamedTuple):
    """A picture and its label."""

    image: Image.Image
    label: int


def held_out(colour: str, ground: str) -> bool:
    """Whether training never sees a thing of this colour on a ground of that one: two pairs in seven."""
    names = list(COLOURS)
    return (names.index(ground) - names.index(colour)) % len(names) in (3, 4)


def nearest(paint: Colour) -> str:
    """The name of the colour that a paint is most like."""
    return min(COLOURS, key=lambda name: math.dist(paint, COLOURS[name]))


def draw(rng: Random, colour: str, shape: str, ground: Colour, width: int, height: int) -> Image.Image:
    """A picture of one thing, whose size, place and turn are left to chance."""
    image = _ground(rng, ground, width, height)
    radius = rng.uniform(0.2, 0.45) * min(width, height)
    centre = (rng.uniform(radius, width - radius), rng.uniform(radius, height - radius))
    points = [(centre[0] + radius * x, centre[1] + radius * y)
              for x, y in _turned(SHAPES[shape](), rng.uniform(-0.35, 0.35))]  # fmt: skip
    mask = Image.new("L", (2 * width, 2 * height))
    pen = ImageDraw.Draw(mask)
    pen.polygon([(2 * x, 2 * y) for x, y in points], fill=255)
    if shape == "ring":
        inner = rng.uniform(0.5, 0.65)
        pen.polygon([(2 * (cx + inner * (x - cx)), 2 * (cy + inner * (y - cy)))
                     for (x, y), (cx, cy) in zip(points, [centre] * len(points), strict=True)], fill=0)  # fmt: skip
    paint = Image.new("RGB", (width, height), _near(rng, COLOURS[colour]))
    image.paste(paint, mask=mask.resize((width, height), Image.Resampling.BOX))
    return _photographed(rng, image)


def make(rng: Random, count: int, split: Split = "train") -> list[Example]:
    """Examples of a split: other pairs of colours of thing and ground in each."""
    made: list[Example] = []
    while len(made) < count:
        colour, shape = rng.choice(list(COLOURS)), rng.choice(list(SHAPES))
        red, green, blue = rng.choices(range(256), k=3)
        ground = (red, green, blue) if rng.random() < 0.5 else _near(rng, rng.choice(list(COLOURS.values())))
        seen = math.dist(ground, COLOURS[colour]) > 80 and nearest(ground) != colour
        if not seen or held_out(colour, nearest(ground)) != (split == "test"):
            continue
        width, height = rng.choice([(64, 64), (96, 96), (96, 72), (72, 96), (128, 128), (128, 96)])
        image = draw(rng, colour, shape, ground, width, height)
        made.append(Example(image, LABELS.index(f"{colour} {shape}")))
    return made


def _ring(count: int, start: float = 0.0, radii: tuple[float, ...] = (1.0,)) -> Points:
    angles = [start + 2 * math.pi * index / count for index in range(count)]
    return [
        (radii[index % len(radii)] * math.sin(angle), -radii[index % len(radii)] * math.cos(angle))
        for index, angle in enumerate(angles)
    ]


def _turned(points: Points, angle: float) -> Points:
    sine, cosine = math.sin(angle), math.cos(angle)
    return [(cosine * x - sine * y, sine * x + cosine * y) for x, y in points]


def _near(rng: Random, colour: Colour, spread: int = 18) -> Colour:
    red, green, blue = (max(0, min(255, part + rng.randint(-spread, spread))) for part in colour)
    return red, green, blue


def _ground(rng: Random, colour: Colour, width: int, height: int) -> Image.Image:
    """Plain, shaded from one side, striped, or speckled."""
    image = Image.new("RGB", (width, height), colour)
    other = _near(rng, colour, 45)
    kind = rng.random()
    if kind < 0.3:
        shade = Image.linear_gradient("L").rotate(rng.choice([0, 90, 180, 270])).resize((width, height))
        image.paste(Image.new("RGB", (width, height), other), mask=shade)
    elif kind < 0.5:
        step = rng.randint(4, 12)
        pen = ImageDraw.Draw(image)
        for x in range(-height, width, 2 * step):
            pen.line([(x, 0), (x + rng.choice([0, height]), height)], fill=other, width=step)
    elif kind < 0.7:
        pen = ImageDraw.Draw(image)
        for _ in range(width // 2):
            left, top, size = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(1, 4)
            pen.ellipse([left, top, left + size, top + size], fill=other)
    return image


def _photographed(rng: Random, image: Image.Image) -> Image.Image:
    """Sometimes blurred, lighter or darker, and with noise."""
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    generator = np.random.default_rng(rng.getrandbits(32))
    pixels = np.asarray(image, np.float32) * rng.uniform(0.85, 1.1)
    pixels += generator.normal(0, rng.choice([0, 0, 4, 10]) + 1e-6, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
