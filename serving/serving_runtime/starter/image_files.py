"""Opens PNG and JPEG files of users.

A frozen copy lies in every archive of an image model that we build; it needs Pillow only.
"""

import io
import warnings

from PIL import Image, ImageOps

MAX_PIXELS = 4_000_000
MAX_BYTES = 10 * 1024 * 1024

_UNREADABLE = "the image is not a readable PNG or JPEG file"


def opened(file: bytes) -> Image.Image:
    """The decoded image, upright. Raises ValueError with a readable reason."""
    if not isinstance(file, bytes):
        raise ValueError("an image must be the bytes of a PNG or JPEG file")
    if len(file) > MAX_BYTES:
        raise ValueError(f"the image has over {MAX_BYTES // 1024**2} MB; send a smaller one")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images; they are rejected below, before any pixel is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(file), formats=("PNG", "JPEG"))
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"the image has over {MAX_PIXELS // 10**6} megapixels; send a smaller one")
        image.load()
        return ImageOps.exif_transpose(image)
    except Image.DecompressionBombError:
        raise ValueError(f"the image has over {MAX_PIXELS // 10**6} megapixels; send a smaller one") from None
    except ValueError as error:
        if "megapixels" in str(error):
            raise
        raise ValueError(_UNREADABLE) from None
    except Exception:
        raise ValueError(_UNREADABLE) from None


def on_white(image: Image.Image) -> Image.Image:
    """The image as RGB; white shows through where it is transparent."""
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert("RGB")
