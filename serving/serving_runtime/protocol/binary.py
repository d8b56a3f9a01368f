"""The binary tensor data extension of v2: tensors that follow the JSON of a body as raw bytes.

The header Inference-Header-Content-Length says how long the JSON is. Behind it the tensors that say
`binary_data_size` lie back to back, in the order in which the JSON names them: numbers little-endian and
row-major, BOOL as one byte, each BYTES element as a uint32 length and its bytes.
"""

import math

from serving_runtime.errors import InvalidRequest
from serving_runtime.protocol import tensors
from serving_runtime.protocol.tensors import NUMBERS, ImageCheck, Tensor

HEADER = "Inference-Header-Content-Length"
SIZE = "binary_data_size"
_FORM = "the binary data does not hold %d elements, each a uint32 length and its bytes"


class Tail:
    """What follows the JSON of a body; `take` hands it out from the front."""

    def __init__(self, body: bytes, json_size: int) -> None:
        """`json_size` is the header's. Raises InvalidRequest when the body is shorter."""
        if not 0 <= json_size <= len(body):
            raise InvalidRequest(f"{HEADER} is {json_size}, but the body has {len(body)} bytes")
        self._body = body
        self._position = json_size

    def take(self, name: str, size: object) -> bytes:
        """The next `size` bytes, those of the input `name`. Raises InvalidRequest when there are fewer."""
        left = len(self._body) - self._position
        if type(size) is not int or not 0 <= size <= left:
            raise InvalidRequest(
                f"input {name!r}: `{SIZE}` is {str(size)[:40]}, but {left} bytes of tensor data are left"
            )
        start, self._position = self._position, self._position + size
        return self._body[start : self._position]

    def finish(self) -> None:
        """Raises InvalidRequest when bytes are left over."""
        left = len(self._body) - self._position
        if left:
            raise InvalidRequest(f"{left} bytes follow the last tensor; the sizes must add up to the body")


def decode(
    name: str, datatype: str, shape: tuple[int, ...], raw: bytes, *, image: ImageCheck | None = None
) -> Tensor:
    """Build a tensor from its raw bytes; `image`: each element must be a PNG or JPEG file, and is looked at by it.

    Raises InvalidRequest with the tensor's name.
    """
    count = math.prod(shape)
    if datatype == "BYTES":
        elements = _elements(name, count, raw)
        if image is not None:
            if not all(map(tensors.is_image, elements)):
                raise InvalidRequest(f"input {name!r}: each BYTES element must hold a PNG or JPEG file")
            for element in elements:
                image(name, element)
        return Tensor(name, datatype, shape, elements)
    size = count * NUMBERS[datatype][1]
    if len(raw) != size:
        raise InvalidRequest(
            f"input {name!r}: {datatype} of shape {list(shape)} has {size} bytes, `{SIZE}` is {len(raw)}"
        )
    tensor = Tensor(name, datatype, shape, raw)
    if datatype == "BOOL" and raw.translate(None, b"\x00\x01"):
        raise InvalidRequest(f"input {name!r}: a BOOL is one byte, 0 or 1")
    if not tensors.all_finite(tensor):
        raise InvalidRequest(f"input {name!r}: NaN and infinity are not taken")
    return tensor


def encode(tensor: Tensor) -> bytes:
    """The tensor's raw bytes."""
    if isinstance(tensor.data, list):
        return tensors.pack_elements(tensor.data)
    return tensor.data


def _elements(name: str, count: int, raw: bytes) -> list[bytes]:
    try:
        elements = tensors.unpack_elements(raw, most=count)
    except ValueError as error:
        raise InvalidRequest(f"input {name!r}: {error}; {_FORM % count}") from None
    if len(elements) != count:
        raise InvalidRequest(f"input {name!r}: {_FORM % count}")
    return elements
