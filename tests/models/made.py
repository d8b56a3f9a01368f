"""Images made from digits as people send them: drawn, photographed, and such as no model knows."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Pixels = npt.NDArray[np.uint8]
Random = np.random.Generator
PAD = (392, 392)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    """A PNG or JPEG file."""
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def drawn(digit: Pixels, *, side: int = 280, at: tuple[int, int] = (30, 40)) -> bytes:
    """A digit [28, 28] in dark ink on a white pad."""
    paper = Image.new("L", PAD, 255)
    paper.paste(17, (*at, at[0] + side, at[1] + side), Image.fromarray(digit).resize((side, side)))
    return encoded(paper)


def photographed(digit: Pixels, random: Random, *, shadow: bool = True, lines: bool = False) -> bytes:
    """A digit on paper as a JPEG: unevenly lit, with grain, a shadow over a part of it, and perhaps ruled lines."""
    width, height = 480, 360
    side = int(random.integers(150, 230))
    mask = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    ink = Image.new("L", (width, height), 0)
    ink.paste(
        mask, (int(random.integers(20, width - side - 20)), int(random.integers(20, height - side - 20)))
    )
    paper = np.full((height, width), 0.82)
    if lines:
        step = int(random.integers(28, 44))
        for top in range(step // 2, height, step):
            paper[top : top + 2] = 0.70
    share = np.asarray(ink) / 255
    down, across = np.mgrid[0:height, 0:width]
    light = 1 - 0.12 * _slope(across - width / 2, down - height / 2, random) / width
    if shadow:
        distance = _slope(across - width / 2, down - height / 2, random) / width - random.uniform(-0.25, 0.25)
        edge = np.clip(distance * 4 / random.uniform(0.01, 0.06), -50, 50)
        light *= 1 - (1 - random.uniform(0.4, 0.6)) / (1 + np.exp(-edge))
    levels = (paper * (1 - share) + 0.16 * share) * light * 255 + random.normal(0, 4, (height, width))
    return encoded(Image.fromarray(levels.clip(0, 255).astype(np.uint8)).convert("RGB"), "JPEG")


def dot(random: Random) -> bytes:
    """One touch of the pen, small or large."""
    paper = Image.new("L", PAD, 255)
    (x, y), radius = random.integers(80, 300, 2), random.integers(4, 60)
    ImageDraw.Draw(paper).ellipse((x - radius, y - radius, x + radius, y + radius), fill=17)
    return encoded(paper)


def blob(random: Random) -> bytes:
    """Ink all over one place, such as a digit that is drawn with far too thick a pen."""
    paper = Image.new("L", PAD, 255)
    pen = ImageDraw.Draw(paper)
    middle = random.integers(120, 270, 2)
    for _ in range(random.integers(5, 10)):
        (x, y), radius = middle + random.integers(-40, 40, 2), random.integers(20, 45)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=17)
    return encoded(paper)


def blank(random: Random) -> bytes:
    """Paper of any shade with the grain of a photograph, and nothing on it."""
    levels = random.integers(0, 255) + random.normal(0, random.uniform(0, 3), (300, 400))
    return encoded(Image.fromarray(levels.clip(0, 255).astype(np.uint8)), "JPEG")


def two(first: Pixels, second: Pixels, random: Random) -> bytes:
    """Two digits beside each other with a gap, as one writes 17."""
    gap = int(random.integers(1, 10))
    digits = [_columns(first), np.zeros((28, gap), np.uint8), _columns(second)]
    pair = np.concatenate(digits, 1)
    paper = Image.new("L", (500, 392), 255)
    size = (pair.shape[1] * 8, 28 * 8)
    paper.paste(17, (20, 80, 20 + size[0], 80 + size[1]), Image.fromarray(pair).resize(size))
    return encoded(paper)


def _columns(digit: Pixels) -> Pixels:
    inked = np.nonzero(digit.max(0) > 64)[0]
    return digit[:, inked[0] : inked[-1] + 1]


def _slope(
    across: npt.NDArray[np.float64], down: npt.NDArray[np.float64], random: Random
) -> npt.NDArray[np.float64]:
    angle = random.uniform(0, 2 * np.pi)
    found: npt.NDArray[np.float64] = across * np.cos(angle) + down * np.sin(angle)
    return found
