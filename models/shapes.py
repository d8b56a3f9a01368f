"""Small colour images of shapes, drawn by this script: the same ones each time."""

import hashlib
import math
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from datasets import STARTER, Array, Dataset, Samples

NAME = "shapes"
LABELS = ("circle", "cross", "ring", "square", "star", "triangle")
SIDE = 32
TRAIN, TEST = 3000, 600
_FINE = 4  # drawn so many times as large and then made smaller, for smooth edges

Random = np.random.Generator
Point = tuple[float, float]


class Shapes(Dataset):
    """Images uint8 [n, 32, 32, 3], and which shape each shows, as the place of its label in LABELS."""

    name = NAME
    handler = "image_handler.py"
    needs = ("image_files.py",)

    @cached_property
    def train(self) -> Samples:
        return made(TRAIN, seed=1)

    @cached_property
    def test(self) -> Samples:
        return made(TEST, seed=2)

    @cached_property
    def fingerprint(self) -> str:
        files = (Path(__file__), STARTER / self.handler)
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()

    def to_network(self, inputs: Array) -> Array:
        from serving_runtime.starter.image_handler import to_network

        return to_network(inputs)


@cache
def shapes() -> Shapes:
    """Drawn once."""
    return Shapes()


def made(count: int, *, seed: int) -> Samples:
    """So many images, of all shapes in turn."""
    random = np.random.default_rng(seed)
    targets = np.arange(count) % len(LABELS)
    images = np.stack([drawn(LABELS[target], random) for target in targets])
    return Samples(images, targets.astype(np.int64))


def drawn(label: str, random: Random) -> npt.NDArray[np.uint8]:
    """One shape [32, 32, 3] of any colour, size, place and turn, on a ground of another colour, with grain."""
    ground, colour = _colours(random)
    side = SIDE * _FINE
    image = Image.new("RGB", (side, side), ground)
    pen = ImageDraw.Draw(image)
    radius = random.uniform(0.2, 0.42) * side
    x, y = (random.uniform(radius, side - radius) for _ in range(2))
    turn = random.uniform(0, 2 * math.pi)
    box = (x - radius, y - radius, x + radius, y + radius)
    if label == "circle":
        pen.ellipse(box, fill=colour)
    elif label == "ring":
        pen.ellipse(box, outline=colour, width=round(radius * random.uniform(0.25, 0.4)))
    elif label == "cross":
        for at in (turn, turn + math.pi / 2):
            ends = [(x + radius * math.cos(to), y + radius * math.sin(to)) for to in (at, at + math.pi)]
            pen.line(ends, fill=colour, width=round(radius * random.uniform(0.35, 0.5)))
    else:
        pen.polygon(_corners(label, (x, y), radius, turn), fill=colour)
    levels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX)).astype(np.float32)
    return (levels + random.normal(0, 6, levels.shape)).clip(0, 255).astype(np.uint8)


def _corners(label: str, middle: Point, radius: float, turn: float) -> list[Point]:
    radii = {"square": [1.0] * 4, "triangle": [1.0] * 3, "star": [1.0, 0.42] * 5}[label]
    angles = [turn + 2 * math.pi * at / len(radii) for at in range(len(radii))]
    return [
        (middle[0] + radius * share * math.cos(angle), middle[1] + radius * share * math.sin(angle))
        for share, angle in zip(radii, angles, strict=True)
    ]


def _colours(random: Random) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two colours that are not alike."""
    while True:
        one, other = random.integers(0, 256, (2, 3))
        if abs(one - other).sum() > 220:
            return tuple(one.tolist()), tuple(other.tolist())
