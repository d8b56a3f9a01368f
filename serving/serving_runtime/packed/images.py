"""Image files and pixels as the packed model takes them; its frozen copy needs NumPy and Pillow only.

The facts (`image` of packing.json) are width, height, channels (1 or 3), layout (HW, CHW or HWC), and mean and std of
each channel, both of values in 0..1.
"""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 25_000_000

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


def prepare(given: Array, facts: dict[str, Any]) -> Floats:
    """float32 [n, ...] in the model's layout, normalised.

    given: object [n] of PNG or JPEG bytes, uint8 in 0..255 or float in 0..1, both [n, ...] in the layout.
    Raises ValueError.
    """
    if given.dtype == np.object_:
        pixels = [_laid_out(read(element, facts), facts) for element in given.reshape(-1)]
        given = np.stack(pixels)
    values = given.astype(np.float32)
    if given.dtype == np.uint8:
        values /= 255
    at = {"HW": 3, "CHW": 1, "HWC": 3}[facts["layout"]]
    shape = [len(facts["mean"]) if axis == at else 1 for axis in range(4)]
    if facts["layout"] == "HW":
        shape = [1]
    mean = np.array(facts["mean"], np.float32).reshape(shape)
    std = np.array(facts["std"], np.float32).reshape(shape)
    result: Floats = (values - mean) / std
    return result


def read(file: bytes, facts: dict[str, Any]) -> npt.NDArray[np.uint8]:
    """uint8 [height, width, channels] of an image file; its middle, if it has another form. Raises ValueError."""
    try:
        with Image.open(io.BytesIO(file), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"the image has more than {MAX_PIXELS:,} pixels")
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
                upright = upright.convert("I").point(lambda value: value / 257).convert("L")
            if upright.mode in ("RGBA", "LA", "P", "PA"):
                # What is transparent is white, as on a page.
                behind = Image.new("RGBA", upright.size, "white")
                upright = Image.alpha_composite(behind, upright.convert("RGBA"))
            converted = upright.convert("L" if facts["channels"] == 1 else "RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("the image is not a readable PNG or JPEG file") from error
    size = (facts["width"], facts["height"])
    if converted.size != size:
        converted = ImageOps.fit(converted, size, Image.Resampling.BILINEAR)
    return np.asarray(converted, np.uint8).reshape(size[1], size[0], facts["channels"])


def as_pixels(values: Floats, facts: dict[str, Any]) -> npt.NDArray[np.uint8]:
    """What `prepare` gave, as an image: uint8 [n, height, width] or [n, height, width, 3]."""
    if facts["layout"] == "CHW":
        values = values.transpose(0, 2, 3, 1)
    shown = values * np.array(facts["std"], np.float32) + np.array(facts["mean"], np.float32)
    pixels = np.clip(np.rint(shown * 255), 0, 255).astype(np.uint8)
    one_channel = facts["channels"] == 1 and pixels.ndim == 4
    return pixels[..., 0] if one_channel else pixels


def _laid_out(pixels: npt.NDArray[np.uint8], facts: dict[str, Any]) -> npt.NDArray[np.uint8]:
    match facts["layout"]:
        case "HW":
            return pixels[..., 0]
        case "CHW":
            return pixels.transpose(2, 0, 1)
    return pixels
