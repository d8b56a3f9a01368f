"""The gate for images: what it lets through is ours, what it rejects is rejected before it costs."""

import io
import random
import tracemalloc

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image, ImageOps, PngImagePlugin
from sqlalchemy import Engine

from metadata_api.errors import Invalid, MarinaError, TooLarge, UnsupportedMedia
from metadata_api.predicting import images, inputs, stored_inputs
from metadata_api.predicting.base import ParsedInput
from metadata_api.routes.dependencies import Components
from metadata_api.storage.folder import FolderStore
from serving_runtime.contracts import IMAGE_MAX_BYTES
from tests.metadata_api.conftest import row_counts
from tests.metadata_api.making import make_deployment


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """An image as a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def kept(components: Components, file: bytes) -> ParsedInput:
    """An image that is stored, by the steps of a call."""
    parsed = inputs.kinds()["image"].parse(file)
    stored_inputs.store(components.sessions, components.inputs, parsed)
    with components.sessions.begin() as session:
        stored_inputs.put(session, stored_inputs.row_of(parsed))
    return parsed


def decoded(data: bytes) -> Image.Image:
    """The gate's image of a file."""
    return Image.open(io.BytesIO(images.decode(data).file))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_usual_mode_of_png_is_read(mode: str) -> None:
    found = images.decode(encoded(Image.new(mode, (7, 5))))
    assert (found.width, found.height) == (7, 5)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_every_usual_mode_of_jpeg_is_read(mode: str) -> None:
    assert images.decode(encoded(Image.new(mode, (7, 5)), "JPEG")).width == 7


def test_sixteen_bits_become_eight(store: FolderStore) -> None:
    assert decoded(encoded(Image.new("I;16", (2, 2), 65535))).getpixel((0, 0)) == 255


def test_transparency_is_kept() -> None:
    assert decoded(encoded(Image.new("RGBA", (2, 2), (1, 2, 3, 0)))).mode == "RGBA"


def test_a_turned_photo_is_set_upright() -> None:
    photo = Image.new("RGB", (8, 4))
    exif = photo.getexif()
    exif[0x0112] = 6
    found = images.decode(encoded(photo, "JPEG", exif=exif))
    assert (found.width, found.height) == (4, 8)
    kept = Image.open(io.BytesIO(found.file))
    assert ImageOps.exif_transpose(kept).size == (4, 8), "for whoever looks at the file"
    assert Image.open(io.BytesIO(found.sent)).size == (4, 8), "for models, which need not know"
    assert images.shrink(found.file) == found.sent, "also when the image is asked about again"


def test_nothing_of_the_senders_file_is_kept() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Author", "a person")
    exif = Image.Exif()
    exif[0x010F] = "camera"
    data = encoded(Image.new("RGB", (4, 4)), pnginfo=notes, exif=exif) + b"<script>PK\x03\x04"
    kept = images.decode(data).file
    assert not any(
        word in kept for word in (b"a person", b"camera", b"script", b"PK\x03\x04", b"eXIf", b"tEXt")
    )


def noise(mode: str = "RGB", size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Like a photo: it compresses badly as PNG."""
    bands = [Image.effect_noise(size, 60) for _ in mode]
    return Image.merge(mode, bands) if len(bands) > 1 else bands[0]


PHOTOS: dict[str, tuple[str, dict[str, object]]] = {
    "grey": ("L", {}),
    "colour": ("RGB", {"quality": 90}),
    "progressive": ("RGB", {"progressive": True}),
    "without subsampling": ("RGB", {"subsampling": 0, "quality": 95}),
    "with restarts": ("RGB", {"restart_marker_blocks": 3}),
    "optimised": ("RGB", {"optimize": True}),
    "with a profile": ("RGB", {"icc_profile": b"profile" * 1000}),
    "with a comment": ("RGB", {"comment": b"a person"}),
}


@pytest.mark.parametrize(("mode", "options"), PHOTOS.values(), ids=PHOTOS)
@pytest.mark.parametrize("orientation", [1, 3, 8])
def test_a_photo_stays_the_jpeg_that_it_was_without_what_is_not_pixels(
    mode: str, options: dict[str, object], orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "camera"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    data = encoded(noise(mode), "JPEG", exif=exif, **options)
    found = images.decode(data + b"<script>PK\x03\x04")
    assert len(found.file) < len(data) < len(found.sent)
    for word in (b"camera", b"script", b"PK\x03\x04", b"profile", b"a person"):
        assert word not in found.file
    kept = Image.open(io.BytesIO(found.file))
    assert kept.format == "JPEG"
    assert dict(kept.getexif()) == ({0x0112: orientation} if orientation > 1 else {})
    assert kept.tobytes() == Image.open(io.BytesIO(data)).tobytes(), "the very pixels"
    assert ImageOps.exif_transpose(kept).tobytes() == Image.open(io.BytesIO(found.sent)).tobytes()


def test_the_same_photo_is_stored_once_whatever_its_metadata() -> None:
    exif = Image.Exif()
    exif[0x010F] = "camera"
    photo = noise()
    first, second = (images.decode(encoded(photo, "JPEG", **more)) for more in ({}, {"exif": exif}))
    assert first.sha256 == second.sha256


@pytest.mark.parametrize("first", range(0, 200, 20))
def test_a_jpeg_that_was_changed_at_random_is_rejected_or_kept_whole(first: int) -> None:
    good = encoded(noise("L", (24, 24)), "JPEG")
    for seed in range(first, first + 20):
        changer = random.Random(seed)
        data = bytearray(good)
        for _ in range(changer.randrange(1, 4)):
            data[changer.randrange(2, len(data))] = changer.randrange(256)
        try:
            found = images.decode(bytes(data))
        except MarinaError:
            continue
        again = Image.open(io.BytesIO(found.file))
        again.load()
        assert ImageOps.exif_transpose(again).size == (found.width, found.height), f"seed {seed}"


def test_a_jpeg_that_this_parser_cannot_follow_becomes_a_png() -> None:
    # Pillow reads on where a marker is missing between two segments.
    data = encoded(noise("CMYK"), "JPEG")
    assert images.is_png(images.decode(data).file)


def test_a_stored_photo_is_shown_as_what_it_is(api: httpx.Client, app: FastAPI) -> None:
    found = kept(app.state.components, encoded(noise(), "JPEG"))
    answer = api.get(f"/v1/inputs/{found.sha256}")
    assert (answer.headers["content-type"], answer.content) == ("image/jpeg", found.file)
    assert answer.headers["content-disposition"] == f'inline; filename="{found.sha256}.jpeg"'


def bomb(side: int) -> bytes:
    return encoded(Image.new("1", (side, side)), compress_level=9)


@pytest.mark.parametrize("side", [2001, 9400, 13_300])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(side: int) -> None:
    data = bomb(side)
    tracemalloc.start()
    with pytest.raises(TooLarge, match="4,000,000 pixels"):
        images.decode(data)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


REFUSED = {
    "text": (b"hello", UnsupportedMedia),
    "nothing": (b"", UnsupportedMedia),
    "GIF": (encoded(Image.new("L", (2, 2)), "GIF"), UnsupportedMedia),
    "BMP": (encoded(Image.new("L", (2, 2)), "BMP"), UnsupportedMedia),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", UnsupportedMedia),
    "PDF": (b"%PDF-1.7", UnsupportedMedia),
    "a PNG of a header only": (b"\x89PNG\r\n\x1a\n", Invalid),
    "a cut PNG": (encoded(Image.effect_noise((64, 64), 50))[:-500], Invalid),
    "a cut JPEG": (encoded(Image.effect_noise((64, 64), 50), "JPEG")[:400], Invalid),
    "an animation": (
        encoded(Image.new("L", (2, 2)), save_all=True, append_images=[Image.new("L", (2, 2), 9)]), Invalid
    ),
    "over ten megabytes": (b"\xff\xd8\xff" + bytes(IMAGE_MAX_BYTES), TooLarge),
}  # fmt: skip


@pytest.mark.parametrize(("data", "error"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_proper_picture_is_refused(data: bytes, error: type[MarinaError]) -> None:
    with pytest.raises(error):
        images.decode(data)


def test_a_kept_picture_is_shown_and_cannot_run_in_a_browser(
    api: httpx.Client, engine: Engine, app: FastAPI
) -> None:
    for _ in range(2):
        found = kept(app.state.components, encoded(Image.new("L", (3, 2), 9)))
    assert row_counts(engine)["inputs"] == 1
    answer = api.get(f"/v1/inputs/{found.sha256}")
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (
        200,
        "image/png",
        found.file,
    )
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_kept_picture_without_its_bytes_is_a_503_and_names_no_path(
    api: httpx.Client, engine: Engine, app: FastAPI, damage: str
) -> None:
    make_deployment(engine, "digits")
    found = kept(app.state.components, encoded(Image.new("L", (3, 2), 9)))
    path = app.state.components.inputs.first.path(found.sha256)
    path.unlink() if damage == "missing" else path.write_bytes(b"other")
    for answer in (
        api.get(f"/v1/inputs/{found.sha256}"),
        api.post("/v1/predictions", data={"input_sha256": found.sha256}),
    ):
        assert (answer.status_code, answer.json()["error"]) == (503, f"artifact_{damage}")
        assert "Restore it" in answer.json()["detail"]
        assert str(path.parent) not in answer.text
    assert row_counts(engine)["predictions"] == 0
    path.unlink(missing_ok=True)
