"""The gate for images: what may come in, and how it is kept; called by the kind of inputs `image`.

Only PNG and JPEG, at most 4 megapixels in 10 MB, one frame. Nothing of the sender's file is kept but its pixels: no
metadata, no position, no second file hidden behind the first. A PNG is encoded again; a photo in JPEG would be ten
times as large as PNG, so it stays as it is without what is not pixels, with its orientation. Transparency is kept,
because a model decides itself what it lays it over.
"""

import hashlib
import io
import warnings
from dataclasses import dataclass

from PIL import Image as Pillow
from PIL import ImageOps

from metadata_api.errors import Invalid, TooLarge, UnsupportedMedia
from metadata_api.memory import charged
from metadata_api.predicting import jpeg
from serving_runtime.contracts import IMAGE_MAGIC, IMAGE_MAX_BYTES, IMAGE_MAX_PIXELS

HEAVY_BYTES = 1024 * 1024
LONGEST_SIDE = 1024
# The tag of Exif.
ORIENTATION = 0x0112
# While an image is decoded and encoded again.
_PIXEL_BYTES = 12


@dataclass(frozen=True)
class DecodedImage:
    """An image that passed the gate: the file that is kept, its sha256, and the size of the upright image."""

    file: bytes
    """PNG or JPEG."""
    sent: bytes
    """The PNG as models get it: of a heavy image a smaller one."""
    sha256: str
    width: int
    height: int


def decode(data: bytes) -> DecodedImage:
    """Check a PNG or JPEG file by decoding it, and make of it what is kept and what models get.

    Raises UnsupportedMedia for other formats, TooLarge by bytes or by the size in its header, before
    anything is decoded, and Invalid for a file that is damaged.
    """
    kind = _kind(data)
    if kind is None:
        raise UnsupportedMedia(
            "not_an_image", "Only PNG and JPEG are read. Convert the file and send it again."
        )
    if len(data) > IMAGE_MAX_BYTES:
        raise TooLarge("image_too_large", f"The image is over {IMAGE_MAX_BYTES:,} bytes. Send a smaller one.")
    try:
        with warnings.catch_warnings():
            # Pillow's own warning of large images comes too late and is looser than our limit.
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            image = _open(data, kind)
            with charged(image.width * image.height * _PIXEL_BYTES):
                return _encode(data, image)
    except Pillow.DecompressionBombError:
        raise _too_many_pixels() from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise Invalid(
            "image_unreadable", f"The {kind} file is damaged. Save it again and send it."
        ) from error


def shrink(file: bytes) -> bytes:
    """A stored image as models get it: an upright PNG, of a heavy image a smaller one, as models look at little."""
    if is_png(file) and len(file) <= HEAVY_BYTES:
        return file
    image = Pillow.open(io.BytesIO(file))
    with charged(image.width * image.height * _PIXEL_BYTES):
        clean = _clean(image)
        return _sent(clean, file if is_png(file) else _png(clean))


def is_png(file: bytes) -> bool:
    """Whether a stored image is a PNG; else it is a JPEG."""
    return _kind(file) == "PNG"


def media_type(file: bytes) -> str:
    """That of a stored image."""
    return "image/png" if is_png(file) else "image/jpeg"


def _kind(file: bytes) -> str | None:
    """The format that a file begins as; None for one that is not read here."""
    return next((name for magic, name in IMAGE_MAGIC.items() if file.startswith(magic)), None)


def _open(data: bytes, kind: str) -> Pillow.Image:
    """Read the header only and reject by what it says."""
    image = Pillow.open(io.BytesIO(data), formats=[kind])
    if image.width * image.height > IMAGE_MAX_PIXELS:
        raise _too_many_pixels()
    if getattr(image, "n_frames", 1) > 1:
        raise Invalid("image_animated", "The image has several frames. Send a single one.")
    return image


def _encode(data: bytes, image: Pillow.Image) -> DecodedImage:
    image.load()
    clean = _clean(image)
    width, height, png = clean.width, clean.height, _png(clean)
    kept = _stripped(data, image) or png
    return DecodedImage(kept, _sent(clean, png), hashlib.sha256(kept).hexdigest(), width, height)


def _stripped(data: bytes, image: Pillow.Image) -> bytes | None:
    """A photo's own bytes without metadata; None for what is better kept as PNG."""
    if image.format != "JPEG" or image.mode not in ("L", "RGB"):
        return None
    orientation = image.getexif().get(ORIENTATION, jpeg.UPRIGHT)
    try:
        return jpeg.strip(data, orientation if orientation in range(1, 9) else jpeg.UPRIGHT)
    except ValueError:
        return None


def _clean(image: Pillow.Image) -> Pillow.Image:
    """The pixels, upright; a new image has no metadata to inherit."""
    plain = _flat(ImageOps.exif_transpose(image))
    return Pillow.frombytes(plain.mode, plain.size, plain.tobytes())


def _png(image: Pillow.Image, compress_level: int = 3) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=compress_level)
    return file.getvalue()


def _sent(image: Pillow.Image, png: bytes) -> bytes:
    """What models get; takes the pixels of an image whose PNG is heavy."""
    if len(png) <= HEAVY_BYTES:
        return png
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return _png(image, compress_level=1)


def _flat(image: Pillow.Image) -> Pillow.Image:
    """One of three plain modes: grey, colour, or colour with transparency; 16 bits become 8."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value / 257).convert("L")
    if image.mode in ("1", "L"):
        return image.convert("L") if "transparency" not in image.info else image.convert("RGBA")
    transparent = image.mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in image.info
    return image.convert("RGBA" if transparent else "RGB")


def _too_many_pixels() -> TooLarge:
    return TooLarge("image_too_large", f"The image has over {IMAGE_MAX_PIXELS:,} pixels. Send a smaller one.")
