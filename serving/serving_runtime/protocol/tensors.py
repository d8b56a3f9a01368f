"""A v2 tensor as raw little-endian bytes, and the way from and to JSON data.

Used by the protocol, the frames and the batches. It needs no NumPy: numbers go from a JSON list to bytes by
`bytes()` and `array`, which also check every element and are faster than any array library for small tensors.
"""

import binascii
import math
import struct
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from serving_runtime.contracts import IMAGE_MAGIC
from serving_runtime.errors import InvalidRequest

# v2 datatype -> (code of the struct module, bytes per element); BYTES has no fixed size.
NUMBERS = {
    "BOOL": ("B", 1),
    "UINT8": ("B", 1),
    "UINT16": ("H", 2),
    "UINT32": ("I", 4),
    "UINT64": ("Q", 8),
    "INT8": ("b", 1),
    "INT16": ("h", 2),
    "INT32": ("i", 4),
    "INT64": ("q", 8),
    "FP16": ("e", 2),
    "FP32": ("f", 4),
    "FP64": ("d", 8),
}
_FLOATS = ("FP16", "FP32", "FP64")
_FP16_ENDLESS = bytes(byte for byte in range(256) if byte & 0x7C == 0x7C)
_IMAGE_STARTS = tuple(IMAGE_MAGIC)
_LENGTH = struct.Struct("<I")


ImageCheck = Callable[[str, bytes], None]
"""Looks at an image file of the input with this name. Raises InvalidRequest for one that is not accepted."""


class WrongElement(InvalidRequest):
    """An element that the datatype does not have: `element` in words, and `at`, its place in the flat data."""

    def __init__(self, name: str, element: str, datatype: str, at: int, remedy: str = "") -> None:
        super().__init__(
            f"input {name!r}: {element} is not of datatype {datatype}{f'; {remedy}' if remedy else ''}"
        )
        self.element, self.at = element, at


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor; `data` is row-major little-endian bytes, or for BYTES one `bytes` per element."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes | list[bytes]

    def values(self) -> list[Any]:
        """The elements as a flat list: int, float, bool, or for BYTES str (base64 where it is not UTF-8)."""
        if isinstance(self.data, list):
            return [_text(item) for item in self.data]
        if self.datatype == "UINT8":
            return list(self.data)
        if self.datatype == "FP16":  # the array module does not know it
            return list(struct.unpack(f"<{len(self.data) // 2}e", self.data))
        numbers = array(NUMBERS[self.datatype][0])
        numbers.frombytes(self.data)
        return list(map(bool, numbers)) if self.datatype == "BOOL" else numbers.tolist()

    def to_json(self) -> dict[str, Any]:
        """The tensor as it stands in a v2 document, data flat; BYTES that are not all UTF-8 all go as base64.

        FP16 has no JSON form in v2: no request gets it so (see `outputs` of a request).
        """
        item: dict[str, Any] = {"name": self.name, "datatype": self.datatype, "shape": self.shape}
        if isinstance(self.data, list):
            try:
                item["data"] = [element.decode() for element in self.data]
            except UnicodeDecodeError:
                item["parameters"] = {"content_type": "base64"}
                item["data"] = [_base64(element) for element in self.data]
        else:
            item["data"] = self.values()
        return item


def from_json(
    name: str,
    datatype: str,
    shape: tuple[int, ...],
    data: object,
    *,
    base64: bool = False,
    image: ImageCheck | None = None,
    may_hold_booleans: bool = True,
) -> Tensor:
    """Build a tensor from the `data` of a v2 JSON request, flat or nested like `shape`.

    `base64`: BYTES elements are base64. `image`: they are base64 of a PNG or JPEG file, whatever the client
    says. `may_hold_booleans`: false spares a look at every element, because only a boolean can pass for a number.
    Raises InvalidRequest with the tensor's name, WrongElement for what is of another type.
    """
    flat = _flat(name, shape, data)
    if datatype == "BYTES":
        return Tensor(
            name, datatype, shape, [_element(name, item, at, base64, image) for at, item in enumerate(flat)]
        )
    return Tensor(name, datatype, shape, _numbers(name, datatype, flat, may_hold_booleans))


def all_finite(tensor: Tensor) -> bool:
    """Whether no element is NaN or infinite; true for everything that is not a float."""
    if tensor.datatype not in _FLOATS or isinstance(tensor.data, list):
        return True
    if tensor.datatype == "FP16":  # all five bits of the exponent are set in NaN and infinity only
        return len(tensor.data[1::2].translate(None, _FP16_ENDLESS)) == len(tensor.data) // 2
    numbers = array(NUMBERS[tensor.datatype][0])
    numbers.frombytes(tensor.data)
    return _finite(tensor.datatype, numbers)


def accept_image(_name: str, _file: bytes) -> None:
    """The check that takes every image file."""


def is_image(element: bytes) -> bool:
    """Whether it begins as a PNG or JPEG file does."""
    return element.startswith(_IMAGE_STARTS)


def pack_elements(elements: Sequence[bytes]) -> bytes:
    """BYTES elements as raw bytes: each behind its length, a uint32."""
    return b"".join(part for element in elements for part in (_LENGTH.pack(len(element)), element))


def unpack_elements(raw: bytes, *, most: int | None = None) -> list[bytes]:
    """Undo `pack_elements`; stops behind `most` elements. Raises ValueError when an element is cut off."""
    elements: list[bytes] = []
    position, end = 0, len(raw)
    while position < end and len(elements) != most:
        if end - position < _LENGTH.size:
            raise ValueError(f"the length of element {len(elements)} is cut off")
        (size,) = _LENGTH.unpack_from(raw, position)
        position += _LENGTH.size
        if size > end - position:
            raise ValueError(f"element {len(elements)} says {size} bytes, {end - position} are left")
        elements.append(raw[position : position + size])
        position += size
    if position < end:
        raise ValueError(f"{end - position} bytes follow element {len(elements) - 1}")
    return elements


def _flat(name: str, shape: tuple[int, ...], data: object) -> list[Any]:
    if type(data) is not list:
        raise InvalidRequest(f"input {name!r}: `data` must be a list")
    count = math.prod(shape)
    flat: list[Any] = _unnested(name, shape, data) if data and type(data[0]) is list else data
    if len(flat) != count:
        raise InvalidRequest(
            f"input {name!r}: shape {list(shape)} needs {count} elements, data has {len(flat)}"
        )
    return flat


def _unnested(name: str, shape: tuple[int, ...], data: list[Any]) -> list[Any]:
    level: list[Any] = [data]
    for size in shape:
        if any(type(part) is not list or len(part) != size for part in level):
            raise InvalidRequest(f"input {name!r}: nested data does not have the shape {list(shape)}")
        level = list(chain.from_iterable(level))
    return level


def _numbers(name: str, datatype: str, flat: list[Any], may_hold_booleans: bool) -> bytes:
    if datatype not in NUMBERS or datatype == "FP16":
        raise InvalidRequest(
            f"input {name!r}: {datatype} has no JSON form; send it with `binary_data_size` (binary tensor data)"
        )
    if may_hold_booleans or datatype == "BOOL":
        _check_kinds(name, datatype, flat)
    try:
        if datatype in ("UINT8", "BOOL"):
            return bytes(flat)
        numbers = array(NUMBERS[datatype][0], flat)
    except TypeError:
        _check_kinds(name, datatype, flat)
        raise
    except (ValueError, OverflowError):
        raise InvalidRequest(f"input {name!r}: a number is out of the range of {datatype}") from None
    if datatype in _FLOATS and not _finite(datatype, numbers):
        raise InvalidRequest(f"input {name!r}: a number is out of the range of {datatype}")
    return numbers.tobytes()


def _check_kinds(name: str, datatype: str, flat: list[Any]) -> None:
    expected = {bool} if datatype == "BOOL" else {int, float} if datatype in _FLOATS else {int}
    if not set(map(type, flat)) <= expected:
        at = next(at for at, item in enumerate(flat) if type(item) not in expected)
        raise WrongElement(name, _shown(flat[at]), datatype, at)


def _finite(datatype: str, numbers: "array[Any]") -> bool:
    if datatype == "FP32":
        return math.isfinite(sum(numbers))  # float32 values cannot overflow a double's sum; inf and NaN stay
    return all(map(math.isfinite, numbers))


def _element(name: str, item: object, at: int, base64: bool, image: ImageCheck | None) -> bytes:
    if type(item) is not str:
        raise WrongElement(name, _shown(item), "BYTES", at, "send strings")
    if not base64 and image is None:
        return item.encode()
    try:
        # Line breaks, as the `base64` command writes them, are not part of the alphabet but are common.
        decoded = binascii.a2b_base64("".join(item.split()), strict_mode=True) if item else b""
    except ValueError:
        decoded = None
    if image is not None and (decoded is None or not is_image(decoded)):
        raise InvalidRequest(
            f"input {name!r}: BYTES must hold a PNG or JPEG file as base64 text, one string for each image "
            '(`base64 -w0 FILE`), such as "iVBORw0KGgo..."'
        )
    if decoded is None:
        raise InvalidRequest(f"input {name!r}: content_type is base64, but a string is not base64")
    if image is not None:
        image(name, decoded)
    return decoded


def _text(item: bytes) -> str:
    try:
        return item.decode()
    except UnicodeDecodeError:
        return _base64(item)


def _base64(item: bytes) -> str:
    return binascii.b2a_base64(item, newline=False).decode()


def _shown(item: object) -> str:
    return {str: "a string", list: "a list", dict: "an object", type(None): "null"}.get(
        type(item), repr(item)[:40]
    )
