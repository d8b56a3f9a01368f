"""The gate for images: what may come in, and how it is kept; called by predictions and by the route for images.

Only PNG and JPEG, at most 4 megapixels in 10 MB, one frame. An image is decoded and encoded again, so that nothing of
the sender's file is kept: no metadata, no position, no second file hidden behind the first. Transparency is kept,
because a model decides itself what it lays it over.
"""

import hashlib
import io
import warnings
from dataclasses import dataclass

from PIL import Image as Pillow
from PIL import ImageOps
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from metadata_api.database.session import Sessions
from metadata_api.database.tables import Image
from metadata_api.errors import Invalid, NotFound, TooLarge, Unavailable, UnsupportedMedia
from metadata_api.memory import charge, charged
from metadata_api.objects import ledger
from metadata_api.storage.base import ObjectStore
from serving_runtime.contracts import IMAGE_MAGIC, IMAGE_MAX_BYTES, IMAGE_MAX_PIXELS

HEAVY_BYTES = 1024 * 1024
LONGEST_SIDE = 1024
# While an image is decoded and encoded again.
_PIXEL_BYTES = 12


@dataclass(frozen=True)
class DecodedImage:
    """An image that passed the gate: its pixels as PNG bytes, their sha256 and size."""

    png: bytes
    sent: bytes
    """The PNG as models get it: of a heavy image a smaller one."""
    sha256: str
    width: int
    height: int


def decode(data: bytes) -> DecodedImage:
    """Check a PNG or JPEG file and encode its pixels again, upright and without metadata.

    Raises UnsupportedMedia for other formats, TooLarge by bytes or by the size in its header, before
    anything is decoded, and Invalid for a file that is damaged.
    """
    kind = next((name for magic, name in IMAGE_MAGIC.items() if data.startswith(magic)), None)
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
                return _encode(image)
    except Pillow.DecompressionBombError:
        raise _too_many_pixels() from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise Invalid(
            "image_unreadable", f"The {kind} file is damaged. Save it again and send it."
        ) from error


def shrink(png: bytes) -> bytes:
    """A stored image as models get it: a heavy one is made smaller, as bodies are limited and models look at little."""
    if len(png) <= HEAVY_BYTES:
        return png
    image = Pillow.open(io.BytesIO(png))
    with charged(image.width * image.height * _PIXEL_BYTES):
        return _thumbnail(image)


def store(sessions: Sessions, images: ObjectStore, image: DecodedImage) -> None:
    """Claim and store the bytes of an image; raises OutOfSpace and Unavailable."""
    ledger.claim(sessions, ledger.IMAGE, image.sha256, len(image.png))
    images.put(image.png)


def put(session: Session, image: DecodedImage) -> Image:
    """Know an image whose bytes were stored, once; raises Unavailable when they were collected meanwhile."""
    row = {"sha256": image.sha256, "width": image.width, "height": image.height, "size": len(image.png)}
    new = insert(Image).values(row).on_conflict_do_nothing().returning(Image.sha256)
    # Twice, as somebody may delete the image between the two statements.
    if not any(session.scalar(new) or _is_locked(session, image.sha256) for _ in range(2)):
        raise Unavailable("image_busy", "The same image is just being deleted. Send it again.")
    ledger.keep(session, ledger.IMAGE, image.sha256)
    return Image(**row)


def lock(session: Session, image: Image) -> Image:
    """The same image, which nobody deletes until the transaction ends; raises NotFound when somebody did."""
    if not _is_locked(session, image.sha256):
        raise _unknown(image.sha256)
    return image


def png(sessions: Sessions, store: ObjectStore, sha256: str) -> bytes:
    """A kept image as PNG bytes; raises NotFound, and Unavailable when its bytes are missing or damaged."""
    with sessions() as session:
        known = session.get(Image, sha256)
    if known is None:
        raise _unknown(sha256)
    charge(2 * known.size)
    return store.read(sha256)


def _open(data: bytes, kind: str) -> Pillow.Image:
    """Read the header only and reject by what it says."""
    image = Pillow.open(io.BytesIO(data), formats=[kind])
    if image.width * image.height > IMAGE_MAX_PIXELS:
        raise _too_many_pixels()
    if getattr(image, "n_frames", 1) > 1:
        raise Invalid("image_animated", "The image has several frames. Send a single one.")
    return image


def _encode(image: Pillow.Image) -> DecodedImage:
    image.load()
    upright = ImageOps.exif_transpose(image)
    plain = _flat(upright)
    # A new image has no metadata to inherit.
    clean = Pillow.frombytes(plain.mode, plain.size, plain.tobytes())
    file = io.BytesIO()
    clean.save(file, "PNG", compress_level=3)
    encoded = file.getvalue()
    digest, width, height = hashlib.sha256(encoded).hexdigest(), clean.width, clean.height
    # Made of the pixels that are here already; it takes them.
    sent = encoded if len(encoded) <= HEAVY_BYTES else _thumbnail(clean)
    return DecodedImage(encoded, sent, digest, width, height)


def _thumbnail(image: Pillow.Image) -> bytes:
    """Changes the image."""
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _flat(image: Pillow.Image) -> Pillow.Image:
    """One of three plain modes: grey, colour, or colour with transparency; 16 bits become 8."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value / 257).convert("L")
    if image.mode in ("1", "L"):
        return image.convert("L") if "transparency" not in image.info else image.convert("RGBA")
    transparent = image.mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in image.info
    return image.convert("RGBA" if transparent else "RGB")


def _is_locked(session: Session, sha256: str) -> bool:
    known = select(Image.sha256).where(Image.sha256 == sha256)
    return session.scalar(known.with_for_update(read=True, key_share=True)) is not None


def _unknown(sha256: str) -> NotFound:
    return NotFound("image_unknown", f"There is no image {sha256}. Send it with a prediction first.")


def _too_many_pixels() -> TooLarge:
    return TooLarge("image_too_large", f"The image has over {IMAGE_MAX_PIXELS:,} pixels. Send a smaller one.")
