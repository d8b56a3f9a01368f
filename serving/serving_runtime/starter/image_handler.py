"""Small colour images: the model behind TorchServe, which answers whole batches.

A frozen copy lies in every archive of colour images that we build, with the modules that it imports. TorchServe demands
exactly one class in this file.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

if TYPE_CHECKING or __package__:
    from . import image_files
    from .base_handler import BaseHandler
else:  # in an unpacked archive, whose folder TorchServe puts on the path
    import image_files
    from base_handler import BaseHandler

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


class Handler(BaseHandler):
    """Images in, a label and the probabilities of all labels out.

    In a plain TorchServe request an image is a PNG or JPEG file.
    """

    input_name = "image"

    def example(self) -> Array:
        height, width, channels = self.spec["inputs"][0]["shape"][1:]
        return np.zeros((1, channels, height, width), np.float32)

    def read(self, body: object) -> Array:
        image = np.empty(1, dtype=object)
        image[0] = bytes(body) if isinstance(body, bytes | bytearray | memoryview) else body
        return image

    def predict(self, inputs: dict[str, Array], *, return_preprocessed: bool = False) -> dict[str, Array]:
        """Answer a whole batch.

        inputs["image"]: uint8 [n,height,width,3], float32 of that shape in 0..1, or object [n] of PNG or JPEG bytes.
        Gives probabilities float32 [n,labels] and label object [n] of str; with `return_preprocessed` also
        preprocessed, uint8 [n,height,width,3]: what the network got. Raises ValueError with a readable reason.
        """
        if type(return_preprocessed) is not bool:
            raise ValueError("the parameter return_preprocessed must be true or false")
        images = self._prepared(self.given(inputs))
        outputs = self.named(self.predictor.predict(images))
        if return_preprocessed:
            outputs["preprocessed"] = as_pixels(images)
        return outputs

    def _prepared(self, images: Array) -> Floats:
        shape = tuple(self.spec["inputs"][0]["shape"][1:])
        if images.dtype == np.object_:
            files = images.reshape(-1)
            return to_network(np.stack([fit(file, width=shape[1], height=shape[0]) for file in files]))
        if images.shape[1:] != shape:
            raise ValueError(f"the image must have the shape [n, {', '.join(map(str, shape))}]")
        if images.dtype == np.uint8:
            return to_network(images)
        # NaN fails the comparison, too.
        if images.dtype != np.float32 or not (images.min() >= 0 and images.max() <= 1):
            raise ValueError("the image must be UINT8 from 0 to 255, or FP32 from 0 to 1")
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def to_network(pixels: Pixels) -> Floats:
    """uint8 [n, height, width, 3] to what the network gets: float32 [n, 3, height, width] in 0..1."""
    return np.divide(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), np.float32(255), dtype=np.float32)


def as_pixels(images: Floats) -> Pixels:
    """The inverse of `to_network`."""
    pixels: Pixels = np.rint(images * np.float32(255)).astype(np.uint8).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pixels)


def fit(file: bytes, *, width: int, height: int) -> Pixels:
    """A PNG or JPEG file to uint8 [height, width, 3]: the middle of it that has this form. Raises ValueError."""
    image = image_files.on_white(image_files.opened(file))
    return np.asarray(ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR))
