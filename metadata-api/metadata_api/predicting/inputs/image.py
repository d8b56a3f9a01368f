"""An image file, for models that take image files and for those that take the pixels as numbers."""

import io
import math
from collections.abc import Sequence
from typing import Any

from PIL import Image as Pillow
from PIL import ImageMath

from metadata_api.memory import charge
from metadata_api.predicting import images
from metadata_api.predicting.base import CannotTake, Json, ParsedInput
from serving_runtime.archive import tensor_kinds
from serving_runtime.archive.tensor_kinds import ImageFormat, TensorSpec
from serving_runtime.contracts import IMAGE_MAX_PIXELS
from serving_runtime.protocol import tensors as tensors_of_v2
from serving_runtime.protocol.tensors import Tensor

BODY = None
_MODES = {1: "L", 3: "RGB"}
# What the pixels can be sent as.
_NUMBERS = ("UINT8", "FP32")
_COPIES = 3
# How far a float may be from one of the 256 levels of an image: floats of 32 bits differ by far less.
_ROUNDING = 1e-3


def parse(value: bytes) -> ParsedInput:
    """A PNG or JPEG file; its content is the PNG that models get."""
    found = images.decode(value)
    return ParsedInput(
        "image", found.file, images.media_type(found.file), found.sent, found.width, found.height
    )


def load(file: bytes) -> bytes:
    """The PNG that models get of a kept file."""
    return images.shrink(file)


def may_fit(_: Json, inputs: Sequence[TensorSpec]) -> bool:
    """Whether a model takes one image, or whatever it is sent."""
    return len(inputs) == 1 and inputs[0].kind in ("image", "raw")


def tensors(content: bytes, inputs: Sequence[TensorSpec]) -> list[Tensor]:
    """The file itself where a model takes files, else its pixels in the model's size, layout and range of values."""
    spec = inputs[0]
    if not may_fit({}, inputs):
        raise CannotTake("takes_other_kind", f"It takes {_kinds(inputs)}, no image.")
    if "BYTES" in spec.accepts:
        sizes = spec.shape[1:] if spec.datatype == "BYTES" else ()
        return [Tensor(spec.name, "BYTES", (1, *sizes), [content])]
    form = spec.image or tensor_kinds.image_format(spec.datatype, spec.shape)
    datatype = next((one for one in _NUMBERS if one in spec.accepts), None)
    if form is None or form.channels not in _MODES or datatype is None or -1 in spec.shape[1:]:
        raise CannotTake("takes_other_kind", "Its pixels have a form that no image file can be brought to.")
    count = math.prod(spec.shape[1:])
    if count > IMAGE_MAX_PIXELS * form.channels:
        raise CannotTake(
            "takes_other_size", f"It takes more pixels than an image may have: {IMAGE_MAX_PIXELS:,}."
        )
    # The size is the uploader's choice, whatever the file has: its pixels, their floats, and what is sent.
    charge(_COPIES * 4 * count)
    return [Tensor(spec.name, datatype, (1, *spec.shape[1:]), _pixels(content, form, spec.shape, datatype))]


def of_row(row: Sequence[Tensor], inputs: Sequence[TensorSpec]) -> ParsedInput | None:
    """An image file, or pixels that are those of an image of 8 bits; None for other numbers."""
    spec, tensor = inputs[0], row[0]
    if len(row) != 1 or spec.kind not in ("image", "raw"):
        return None
    if isinstance(tensor.data, list):
        is_file = len(tensor.data) == 1 and tensors_of_v2.is_image(tensor.data[0])
        return parse(tensor.data[0]) if is_file else None
    form = spec.image or tensor_kinds.image_format(spec.datatype, spec.shape)
    if spec.kind == "raw" or form is None or form.channels not in _MODES or tensor.datatype not in _NUMBERS:
        return None
    if math.prod(tensor.shape) > IMAGE_MAX_PIXELS * form.channels:
        return None
    sizes: dict[str, int] = dict(zip(form.layout, tensor.shape[1:], strict=True))
    bands = [_band(plane, tensor.datatype, form, sizes) for plane in _planes(tensor, form)]
    found = [band for band in bands if band is not None]
    if len(found) < len(bands):
        return None
    file = io.BytesIO()
    Pillow.merge(_MODES[form.channels], found).save(file, "PNG", compress_level=1)
    return parse(file.getvalue())


def _planes(tensor: Tensor, form: ImageFormat) -> list[bytes]:
    """The bytes of each channel."""
    assert isinstance(tensor.data, bytes), "numbers are bytes"
    if form.layout == "HWC" and form.channels > 1:
        pixels = memoryview(tensor.data).cast("f" if tensor.datatype == "FP32" else "B")
        return [pixels[at :: form.channels].tobytes() for at in range(form.channels)]
    size = len(tensor.data) // form.channels
    return [tensor.data[at * size : (at + 1) * size] for at in range(form.channels)]


def _band(plane: bytes, datatype: str, form: ImageFormat, sizes: dict[str, int]) -> Pillow.Image | None:
    """One channel as 8 bits a pixel; None when that would lose something."""
    size = sizes["W"], sizes["H"]
    if datatype == "UINT8":
        return Pillow.frombytes("L", size, plane)
    scale = 255 / (form.maximum - form.minimum)
    shift = -form.minimum * scale
    levels = Pillow.frombytes("F", size, plane).point(lambda value: value * scale + shift)
    # The way to 8 bits cuts off what is behind the point.
    band = levels.point(lambda value: value * 1 + 0.5).convert("L")
    difference = ImageMath.lambda_eval(
        lambda given: abs(given["a"] - given["b"]), a=levels, b=band.convert("F")
    )
    return band if difference.getextrema()[1] < _ROUNDING else None


def _pixels(file: bytes, form: ImageFormat, shape: Sequence[int], datatype: str) -> bytes:
    """Row-major, as the layout says."""
    sizes: dict[str, Any] = dict(zip(form.layout, shape[1:], strict=True))
    image: Pillow.Image = Pillow.open(io.BytesIO(file))
    if image.mode == "RGBA":
        paper = Pillow.new("RGBA", image.size, "white")
        image = Pillow.alpha_composite(paper, image)
    image = image.convert(_MODES[form.channels])
    if image.size != (sizes["W"], sizes["H"]):
        image = image.resize((sizes["W"], sizes["H"]), Pillow.Resampling.BILINEAR)
    if datatype == "UINT8":
        bands = [band.tobytes() for band in image.split()] if form.layout == "CHW" else [image.tobytes()]
        return b"".join(bands)
    scale = (form.maximum - form.minimum) / 255
    floats = [
        band.convert("F").point(lambda value: value * scale + form.minimum).tobytes()
        for band in image.split()
    ]
    if form.layout == "HWC" and len(floats) > 1:
        values = [memoryview(band).cast("f") for band in floats]
        mixed = memoryview(bytearray(len(floats) * len(floats[0]))).cast("f")
        for at, band in enumerate(values):
            mixed[at :: len(values)] = band
        return mixed.tobytes()
    return b"".join(floats)


def _kinds(inputs: Sequence[TensorSpec]) -> str:
    return (
        " and ".join(sorted({spec.kind for spec in inputs})) if len(inputs) < 4 else f"{len(inputs)} inputs"
    )
