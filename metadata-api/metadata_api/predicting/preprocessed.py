"""What models got of an image, as a PNG in the answer: the output `preprocessed` of those that tell it."""

import base64
import io

from PIL import Image as Pillow

from serving_runtime.archive import tensor_kinds
from serving_runtime.contracts import IMAGE_MAX_PIXELS
from serving_runtime.protocol.tensors import Tensor

_MODES = {1: "L", 3: "RGB"}


class PreprocessedImages:
    """PNGs in base64; most models get the same, and what is the same is encoded once."""

    def __init__(self) -> None:
        self._made: dict[tuple[tuple[int, ...], bytes], str] = {}

    def png(self, tensor: Tensor | None) -> str | None:
        """The image in one row of bytes in [1, H, W], [1, H, W, C] or [1, C, H, W] with 1 or 3 channels, else None."""
        if tensor is None or tensor.datatype != "UINT8" or not isinstance(tensor.data, bytes):
            return None
        key = (tensor.shape, tensor.data)
        if key not in self._made:
            image = _image(tensor.shape, tensor.data)
            if image is None:
                return None
            file = io.BytesIO()
            image.save(file, "PNG", compress_level=1)
            self._made[key] = base64.b64encode(file.getvalue()).decode()
        return self._made[key]


def _image(shape: tuple[int, ...], data: bytes) -> Pillow.Image | None:
    found = tensor_kinds.image_format("UINT8", shape)
    if found is None or shape[0] != 1 or not 0 < len(data) <= 3 * IMAGE_MAX_PIXELS:
        return None
    assert found.width is not None
    assert found.height is not None
    size, mode = (found.width, found.height), _MODES[found.channels]
    if found.layout != "CHW":
        return Pillow.frombytes(mode, size, data)
    plane = len(data) // found.channels
    planes = [data[at : at + plane] for at in range(0, len(data), plane)]
    return Pillow.merge(mode, [Pillow.frombytes("L", size, one) for one in planes])
