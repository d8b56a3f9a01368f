"""From pixels to what the network gets: the only place where this happens, for training and for serving.

Imported by the handler and by the trainer. A frozen copy lies in every archive that we build, so it needs
nothing but NumPy and Pillow. A digit is 28 x 28, 0 = background and 255 = ink, or the same divided by 255.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

if TYPE_CHECKING or __package__:
    from . import image_files
else:  # in an unpacked archive, whose folder TorchServe puts on the path
    import image_files

SIDE = 28
# MNIST's own way: the digit fits into 20 x 20, its centre of mass lies on pixel (14, 14) of 28 x 28.
BOX = 20
# Shades between which the ground of an evenly lit image stays; the longer side of the image in which it is looked for;
# and how wide a stroke is there at most (odd).
UNEVEN = 50
GROUND_SIDE = 96
STROKE = 15

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def to_network(pixels: Pixels) -> Floats:
    """uint8 [n, 28, 28] to what the network gets: float32 [n, 28, 28] in 0..1."""
    return np.divide(pixels, np.float32(255), dtype=np.float32)


def as_pixels(floats: Floats) -> Pixels:
    """The inverse of `to_network`, for showing: float32 [n, 28, 28] to uint8."""
    pixels: Pixels = np.rint(floats * np.float32(255)).astype(np.uint8)
    return pixels


def prepare(image: npt.NDArray[np.generic]) -> Floats:
    """Any accepted input to what the network gets: float32 [n, 28, 28] in 0..1.

    Takes uint8 [n, 28, 28], float32 [n, 28, 28] in 0..1, or an object array [n] of PNG or JPEG files (bytes).
    Raises ValueError with a readable reason.
    """
    if image.dtype == np.object_:
        return to_network(decode(list(image.reshape(-1))))
    if image.ndim != 3 or image.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"the image must have the shape [n, {SIDE}, {SIDE}], not {list(image.shape)}")
    if image.dtype == np.uint8:
        return to_network(image.astype(np.uint8, copy=False))
    if image.dtype != np.float32:
        raise ValueError(f"the image must be UINT8 or FP32, not {image.dtype}")
    # NaN fails the comparison, too.
    if image.size and not (image.min() >= 0 and image.max() <= 1):
        raise ValueError(
            "FP32 pixels must be finite and from 0 to 1 (pixels from 0 to 255 are sent as UINT8)"
        )
    return image.astype(np.float32, copy=False)


def decode(files: Sequence[bytes]) -> Pixels:
    """PNG or JPEG files to uint8 [n, 28, 28]. Raises ValueError that names the first bad file."""
    return read(files)[0]


def read(files: Sequence[bytes]) -> tuple[Pixels, list[bool]]:
    """The same, and for each file whether a shadow was taken away."""
    pixels = np.zeros((len(files), SIDE, SIDE), np.uint8)
    shadowed = []
    for at, file in enumerate(files):
        try:
            grey = _grey(image_files.opened(file))
            lit = _evenly_lit(grey)
            shadowed.append(lit is not grey)
            pixels[at] = fit(lit)
        except ValueError as error:
            where = f"image {at + 1} of {len(files)}: " if len(files) > 1 else ""
            raise ValueError(f"{where}{error}") from None
    return pixels, shadowed


def fit(grey: Pixels) -> Pixels:
    """A grey image [height, width] of one digit, dark or light on its ground, to [28, 28] as MNIST has it.

    An image of 28 x 28 with a dark border is taken as it is; one without any ink becomes all 0.
    """
    border = _border(grey)
    if np.median(border) > 127:
        grey, border = 255 - grey, 255 - border
    elif grey.shape == (SIDE, SIDE):
        return grey
    ink = _without_ground(grey, border)
    strongest = float(ink.max())
    # Less contrast than this is paper and noise.
    if strongest < 16:
        return np.zeros((SIDE, SIDE), np.uint8)
    return _centred(_scaled(_cropped(ink * (255 / strongest))))


def _grey(image: Image.Image) -> Pixels:
    if image.mode.startswith("I"):
        # 16 bits a pixel; Pillow's own conversion clips instead of scaling.
        return (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
    return np.asarray(image_files.on_white(image).convert("L"))


def _evenly_lit(grey: Pixels) -> Pixels:
    """A photograph of dark ink on paper as if it was lit everywhere alike; any other image as it is."""
    height, width = grey.shape
    low, high = np.percentile(_border(grey), (3, 97))
    if high - low < UNEVEN or min(height, width) < 2 * SIDE:
        return grey
    factor = GROUND_SIDE / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = Image.fromarray(grey).resize(size, Image.Resampling.BOX)
    levels = np.asarray(small, np.float32)
    # A median passes over strokes and follows shadows: what differs from it is drawn.
    drawn = np.asarray(small.filter(ImageFilter.MedianFilter(STROKE)), np.float32) - levels
    if drawn[drawn > UNEVEN / 2].sum() < -drawn[drawn < -UNEVEN / 2].sum():
        return grey
    # Without what is dark and thin.
    paper = small.filter(ImageFilter.MaxFilter(STROKE)).filter(ImageFilter.MinFilter(STROKE))
    ground = np.asarray(paper, np.float32)
    if np.ptp(np.percentile(ground, (5, 95))) < UNEVEN:
        return grey
    # Darker at the edges of shadows, where the small image knows only about the ground.
    local = paper.filter(ImageFilter.MinFilter(3)).resize((width, height), Image.Resampling.BILINEAR)
    lit = grey / np.maximum(np.asarray(local, np.float32), 1) * 255
    edge = Image.fromarray(_ends_of_shadows(levels < 0.7 * ground)).filter(ImageFilter.MaxFilter(5))
    # What is much paler than ink: ruled lines, folds, and what is left of the edges.
    lit[(lit > 0.68 * 255) | (np.asarray(edge.resize((width, height))) > 0)] = 255
    even: Pixels = np.rint(lit).clip(0, 255).astype(np.uint8)
    return even


def _ends_of_shadows(dark: npt.NDArray[np.bool_]) -> Pixels:
    """255 for what of the dark is connected with the border.

    For nothing when that is most of it, as with a digit over the edge.
    """
    found = np.zeros_like(dark)
    found[[0, -1]], found[:, [0, -1]] = dark[[0, -1]], dark[:, [0, -1]]
    size = 0
    while (now := int(found.sum())) > size:
        size = now
        padded = np.pad(found, 1)
        height, width = dark.shape
        for down in range(3):
            for right in range(3):
                found |= padded[down : down + height, right : right + width]
        found &= dark
    return np.where(found & (2 * size < dark.sum()), 255, 0).astype(np.uint8)


def _border(grey: Pixels) -> Pixels:
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def _without_ground(grey: Pixels, border: Pixels) -> Floats:
    """Ink above the ground's shade and above its grain, both taken from the border."""
    shade = np.float32(np.median(border))
    ink = np.clip(grey.astype(np.float32) - shade, 0, None)
    # Nine in ten border pixels, so that a stroke that runs over the border does not count as grain.
    grain = 3 * np.percentile(np.abs(border.astype(np.float32) - shade), 90)
    above: Floats = np.clip(ink - np.float32(min(grain, ink.max() / 2)), 0, None)
    return above


def _cropped(ink: Floats) -> Floats:
    rows, columns = np.nonzero(ink > 32)
    return ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def _scaled(ink: Floats) -> Floats:
    height, width = ink.shape
    factor = BOX / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.BILINEAR))
    # A thin stroke gets pale when it is made smaller; MNIST's strokes reach full ink.
    return small * np.float32(255 / small.max())


def _centred(ink: Floats) -> Pixels:
    height, width = ink.shape
    rows, columns = np.indices(ink.shape)
    top = _offset(float((rows * ink).sum() / ink.sum()), height)
    left = _offset(float((columns * ink).sum() / ink.sum()), width)
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    canvas[top : top + height, left : left + width] = np.rint(ink).clip(0, 255).astype(np.uint8)
    return canvas


def _offset(centre: float, length: int) -> int:
    return min(max(round(SIDE / 2 - centre), 0), SIDE - length)
