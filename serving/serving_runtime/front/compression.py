"""gzip and deflate of HTTP bodies, both ways; what is unpacked is bounded while it is unpacked."""

import zlib

from serving_runtime.errors import InvalidRequest
from serving_runtime.front.errors import BodyTooLarge, UnsupportedEncoding

ACCEPTED = "gzip, deflate"
SMALLEST = 1024  # packing less than this costs more time than its bytes on the wire
_LEVEL = 1  # twice as fast as the default for a few percent more bytes
# zlib's window sizes choose the format: 31 is gzip, 15 is what HTTP calls deflate, a zlib stream.
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


def inflater(content_encoding: str, limit: int) -> "Inflater | None":
    """What unpacks a body with this Content-Encoding; None for one that is not packed.

    Raises UnsupportedEncoding.
    """
    encoding = content_encoding.strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding not in _WINDOWS:
        raise UnsupportedEncoding(f"Content-Encoding {encoding[:64]!r} is not taken; send one of {ACCEPTED}")
    return Inflater(encoding, limit)


class Inflater:
    """Unpacks a body piece by piece, at most `limit` bytes of it."""

    def __init__(self, encoding: str, limit: int) -> None:
        self._encoding = encoding
        self._limit = limit
        self._size = 0
        self._stream = zlib.decompressobj(_WINDOWS[encoding])

    def feed(self, piece: bytes) -> bytes:
        """Unpack the next piece. Raises BodyTooLarge beyond the limit, InvalidRequest when it is not packed so."""
        try:
            found = self._stream.decompress(piece, self._limit - self._size + 1)
        except zlib.error:
            raise InvalidRequest(f"the body is not {self._encoding}, as its Content-Encoding says") from None
        self._size += len(found)
        if self._size > self._limit:
            raise BodyTooLarge(f"the unpacked body has more than {self._limit} bytes")
        if self._stream.unused_data:
            raise InvalidRequest(
                f"something follows the {self._encoding} stream of the body; send one stream"
            )
        return found

    def finish(self) -> None:
        """Raises InvalidRequest when the stream is not whole."""
        if not self._stream.eof:
            raise InvalidRequest(f"the {self._encoding} stream of the body ends too early")


def chosen(accept_encoding: str) -> str | None:
    """What to pack an answer with, gzip before deflate; None when the client did not ask or likes it plain better."""
    weights: dict[str, float] = {}
    for item in accept_encoding.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        weights[coding] = _weight(parameters)
    best = max(("gzip", "deflate"), key=lambda coding: weights.get(coding, weights.get("*", 0.0)))
    weight = weights.get(best, weights.get("*", 0.0))
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None


def packed(body: bytes, encoding: str) -> bytes:
    """The whole body as one gzip or deflate stream."""
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOWS[encoding])
    return stream.compress(body) + stream.flush()


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
