"""Pixels and images become what the network gets, and whatever cannot is rejected."""

import gzip
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from serving_runtime.starter import preprocess

MNIST = Path(__file__).parents[3] / "models" / "data" / "mnist-10k"
Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def digits() -> Pixels:
    """The first 200 held-out digits, uint8 [200, 28, 28]."""
    body = gzip.decompress((MNIST / "t10k-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(body, np.uint8, 200 * 784, 16).reshape(200, 28, 28)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def drawn(digit: Pixels, *, ink: str = "black", ground: str = "white") -> Image.Image:
    """A digit of MNIST as a user might draw it: ten times as large, somewhere on a canvas of 500 x 400."""
    mask = Image.fromarray(digit).resize((280, 280), Image.Resampling.BICUBIC)
    canvas = Image.new("RGB", (500, 400), ground)
    canvas.paste(Image.new("RGB", mask.size, ink), (30, 90), mask)
    return canvas


def distance(one: Pixels, other: Pixels) -> float:
    """Mean difference of two images, as a share of full ink."""
    return float(np.abs(one.astype(float) - other.astype(float)).mean() / 255)


_GRAIN = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 20), np.uint8))
NOISE = (encoded(_GRAIN), encoded(_GRAIN, "JPEG"))


class TestNumbers:
    def test_every_pixel_value_comes_back_as_it_was_sent(self) -> None:
        pixels = np.resize(np.arange(256, dtype=np.uint8), (3, 28, 28))
        floats = preprocess.prepare(pixels)
        assert floats.dtype == np.float32
        assert (floats.min(), floats.max()) == (0, 1)
        assert np.array_equal(preprocess.as_pixels(floats), pixels)

    def test_floats_are_taken_as_already_divided(self) -> None:
        pixels = np.resize(np.arange(256, dtype=np.uint8), (1, 28, 28))
        floats = pixels.astype(np.float32) / np.float32(255)
        assert np.array_equal(preprocess.prepare(floats), preprocess.prepare(pixels))

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.01, 1.01, 255])
    def test_floats_outside_0_to_1_are_rejected(self, value: float) -> None:
        floats = np.zeros((2, 28, 28), np.float32)
        floats[1, 3, 4] = value
        with pytest.raises(ValueError, match="from 0 to 1"):
            preprocess.prepare(floats)

    @pytest.mark.parametrize("shape", [(28, 28), (1, 784), (1, 27, 28), (1, 1, 28, 28), ()])
    def test_other_shapes_are_rejected(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match="shape"):
            preprocess.prepare(np.zeros(shape, np.uint8))

    def test_other_types_are_rejected(self) -> None:
        with pytest.raises(ValueError, match="UINT8 or FP32"):
            preprocess.prepare(np.zeros((1, 28, 28), np.int64))


class TestImages:
    def test_png_of_28_by_28_with_a_dark_border_is_taken_as_it_is(self, digits: Pixels) -> None:
        files = [encoded(Image.fromarray(digit)) for digit in digits[:20]]
        assert np.array_equal(preprocess.decode(files), digits[:20])

    def test_digit_drawn_large_and_aside_comes_back_as_mnist_has_it(self, digits: Pixels) -> None:
        """Not to the pixel: MNIST's own strokes are a little softer than what is scaled up and down again."""
        decoded = preprocess.decode([encoded(drawn(digit)) for digit in digits[:50]])
        distances = [distance(*pair) for pair in zip(decoded, digits[:50], strict=True)]
        assert max(distances) < 0.08
        assert sum(distances) / 50 < 0.04

    @pytest.mark.parametrize(
        ("ink", "ground"), [("white", "black"), ("navy", "lightyellow"), ("#777", "#eee"), ("#ddd", "#333")]
    )
    def test_colours_do_not_matter(self, ink: str, ground: str, digits: Pixels) -> None:
        plain = preprocess.decode([encoded(drawn(digit)) for digit in digits[:10]])
        coloured = preprocess.decode([encoded(drawn(digit, ink=ink, ground=ground)) for digit in digits[:10]])
        assert distance(plain, coloured) < 0.02

    def test_jpeg_and_greyscale_and_palette_do_not_matter(self, digits: Pixels) -> None:
        image = drawn(digits[0])
        files = [
            encoded(image),
            encoded(image, "JPEG", quality=90),
            encoded(image.convert("CMYK"), "JPEG"),
            encoded(image.convert("L")),
            encoded(image.quantize(16)),
            encoded(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)),
        ]
        plain, *others = preprocess.decode(files)
        for other in others:
            assert distance(plain, other) < 0.02

    def test_transparent_ground_counts_as_white(self, digits: Pixels) -> None:
        image = drawn(digits[0])
        clear = Image.new("RGBA", image.size, (0, 0, 0, 0))
        clear.paste(Image.new("RGBA", image.size, "black"), mask=image.convert("L").point(lambda v: 255 - v))
        with_alpha, plain = preprocess.decode([encoded(clear), encoded(image)])
        assert distance(with_alpha, plain) < 0.02

    def test_photo_turned_by_its_camera_is_turned_back(self, digits: Pixels) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        turned = encoded(drawn(digits[0]).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif.tobytes())
        upright, plain = preprocess.decode([turned, encoded(drawn(digits[0]))])
        assert distance(upright, plain) < 0.02

    def test_paper_is_not_taken_for_ink(self, digits: Pixels) -> None:
        """A photograph of grey paper with grain."""
        grain = np.random.default_rng(1).normal(0, 6, (400, 500, 1))
        photo = np.asarray(drawn(digits[0], ink="#333", ground="#b0b0b0")) + grain
        noisy, plain = preprocess.decode(
            [encoded(Image.fromarray(photo.clip(0, 255).astype(np.uint8))), encoded(drawn(digits[0]))]
        )
        assert distance(noisy, plain) < 0.05

    @pytest.mark.parametrize("colour", ["white", "black", "#808080"])
    def test_empty_image_is_empty(self, colour: str) -> None:
        assert not preprocess.decode([encoded(Image.new("RGB", (300, 200), colour))]).any()

    @pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (28, 29), (2000, 2000)])
    def test_any_size_fits(self, size: tuple[int, int]) -> None:
        image = Image.new("L", size, 255)
        image.putpixel((size[0] // 2, size[1] // 2), 0)
        assert preprocess.decode([encoded(image)]).shape == (1, 28, 28)

    def test_ink_reaches_full_strength_and_lies_in_the_middle(self, digits: Pixels) -> None:
        for decoded in preprocess.decode([encoded(drawn(digit, ink="#999")) for digit in digits[:20]]):
            rows, columns = np.nonzero(decoded > 64)
            assert decoded.max() == 255
            assert max(np.ptp(rows), np.ptp(columns)) < preprocess.BOX
            weight = decoded / decoded.sum()
            middle = (np.indices(decoded.shape) * weight).sum((1, 2))
            assert np.abs(middle - 14).max() < 1


class TestBadImages:
    @pytest.mark.parametrize(
        "file",
        [
            b"",
            b"no image",
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff\xe0",
            encoded(Image.new("L", (30, 30)), "GIF"),
            encoded(Image.new("L", (30, 30)), "BMP"),
            b"%PDF-1.4",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        ],
    )
    def test_rejected(self, file: bytes) -> None:
        with pytest.raises(ValueError, match="not a readable PNG or JPEG"):
            preprocess.decode([file])

    def test_truncated_at_any_length_is_rejected_or_decoded(self) -> None:
        """Never another exception; a JPEG without its last bytes is still an image."""
        for whole in NOISE:
            complaints = {_complaint(whole[:length]) for length in range(0, len(whole), 7)}
            assert complaints <= {None, "the image is not a readable PNG or JPEG file"}

    def test_flipped_bits_raise_nothing_else(self) -> None:
        rng = np.random.default_rng(0)
        for whole in NOISE:
            for _ in range(150):
                flipped = bytearray(whole)
                flipped[int(rng.integers(len(whole)))] ^= 1 << int(rng.integers(8))
                complaint = _complaint(bytes(flipped))
                assert complaint is None or "image" in complaint

    @pytest.mark.parametrize("side", [2100, 10_000, 60_000])
    def test_too_many_pixels_are_rejected_before_they_are_decoded(self, side: int) -> None:
        """A PNG of 100 megapixels that has no pixel data at all: only the header can be the reason."""
        with pytest.raises(ValueError, match="megapixels"):
            preprocess.decode([_headed(side)])

    def test_bad_one_is_named(self) -> None:
        good = encoded(Image.new("L", (28, 28)))
        with pytest.raises(ValueError, match="image 2 of 3"):
            preprocess.decode([good, b"bad", good])

    def test_text_is_not_a_file(self) -> None:
        with pytest.raises(ValueError, match="bytes"):
            preprocess.prepare(np.array(["text"], dtype=object))


def _complaint(file: bytes) -> str | None:
    try:
        preprocess.decode([file])
    except ValueError as error:
        return str(error)
    return None


def _headed(side: int) -> bytes:
    header = b"IHDR" + struct.pack(">2L5B", side, side, 8, 0, 0, 0, 0)
    chunks = struct.pack(">L", 13) + header + struct.pack(">L", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunks + struct.pack(">L", 0) + b"IDAT"
