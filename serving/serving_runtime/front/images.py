"""Looks at the header of a PNG or JPEG file, so that an image bomb is rejected before anybody decodes it."""

import io
import warnings

from PIL import Image, JpegImagePlugin, PngImagePlugin, UnidentifiedImageError

from serving_runtime.contracts import IMAGE_MAGIC, IMAGE_MAX_BYTES, IMAGE_MAX_PIXELS
from serving_runtime.errors import InvalidRequest

# Named here so that they are imported at the start and not with the first image.
_PLUGINS = (JpegImagePlugin, PngImagePlugin)


def check(name: str, data: bytes) -> None:
    """Reject what is not one PNG or JPEG image of at most 4 megapixels and 10 MB; decodes no pixel.

    `name` is the input's, for the message. Raises InvalidRequest.
    """
    if len(data) > IMAGE_MAX_BYTES:
        raise InvalidRequest(f"input {name!r}: an image is larger than {IMAGE_MAX_BYTES // 1024**2} MB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=tuple(IMAGE_MAGIC.values())) as image:
                width, height = image.size
                animated = getattr(image, "is_animated", False)
    except Image.DecompressionBombError:
        raise InvalidRequest(f"input {name!r}: {_TOO_LARGE}") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError):
        raise InvalidRequest(f"input {name!r}: an image is not a readable PNG or JPEG file") from None
    if width * height > IMAGE_MAX_PIXELS:
        raise InvalidRequest(f"input {name!r}: {_TOO_LARGE}")
    if animated:
        raise InvalidRequest(f"input {name!r}: an image is animated; send a single one")


_TOO_LARGE = f"an image has more than {IMAGE_MAX_PIXELS // 1_000_000} megapixels; send a smaller one"
