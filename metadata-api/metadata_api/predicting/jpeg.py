"""JPEG files without what is not pixels: markers are kept by an allow-list, and nothing after the end.

The entropy-coded data is copied as it is, so that a photo keeps its bytes and its quality. Of the metadata only the
orientation stays, as a block of our own, because the pixels mean nothing without it.
"""

import struct

END, SCAN = 0xD9, 0xDA
# Frames that Pillow decodes, tables, restart intervals and scans.
KEPT = frozenset((0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD, SCAN))
ADOBE = 0xEE
ADOBE_BYTES = 12
JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
# TIFF, little endian, with one entry: orientation, a SHORT.
EXIF = b"\xff\xe1\x00\x22Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00" + struct.pack("<HHI", 0x0112, 3, 1)
UPRIGHT = 1


def strip(data: bytes, orientation: int) -> bytes:
    """The same image without metadata; raises ValueError for a file that is no whole JPEG.

    Args:
        data: a JPEG file.
        orientation: 1 to 8 as Exif has it; 1 means that the pixels are upright.
    """
    kept = bytearray(b"\xff\xd8")
    # Adobe's block says how colours are coded; JFIF's would say otherwise.
    adobe = False
    position = 2
    scanned = False
    body = bytearray()
    while True:
        marker, position = _marker(data, position)
        if marker == END:
            break
        length = _length(data, position)
        segment = data[position : position + length]
        position += length
        if marker == ADOBE and segment[2:7] == b"Adobe" and length >= 2 + ADOBE_BYTES:
            adobe = True
            body += b"\xff\xee" + struct.pack(">H", 2 + ADOBE_BYTES) + segment[2 : 2 + ADOBE_BYTES]
        elif marker in KEPT:
            body += bytes((0xFF, marker)) + segment
        elif not 0xE0 <= marker <= 0xEF and marker != 0xFE:
            raise ValueError(f"a marker that is not read here: {marker:#x}")
        if marker == SCAN:
            scanned = True
            end = _end_of_scan(data, position)
            body += data[position:end]
            position = end
    if not scanned:
        raise ValueError("no scan")
    if not adobe:
        kept += JFIF
    if orientation != UPRIGHT:
        kept += EXIF + struct.pack("<II", orientation, 0)
    return bytes(kept + body + b"\xff\xd9")


def _marker(data: bytes, position: int) -> tuple[int, int]:
    """The marker at a position, and the position after it; fill bytes before it are skipped."""
    if data[position : position + 1] != b"\xff":
        raise ValueError("no marker where one has to be")
    while data[position : position + 1] == b"\xff":
        position += 1
    if position >= len(data):
        raise ValueError("the file ends too early")
    return data[position], position + 1


def _length(data: bytes, position: int) -> int:
    """Of the segment at a position, with the two bytes that say it."""
    if position + 2 > len(data):
        raise ValueError("the file ends too early")
    length = int.from_bytes(data[position : position + 2], "big")
    if length < 2 or position + length > len(data):
        raise ValueError("a segment is longer than the file")
    return length


def _end_of_scan(data: bytes, position: int) -> int:
    """Where the next marker is that is neither an escaped byte nor a restart."""
    while True:
        position = data.find(b"\xff", position)
        if position < 0 or position + 1 >= len(data):
            raise ValueError("the file ends too early")
        if data[position + 1] == 0 or 0xD0 <= data[position + 1] <= 0xD7:
            position += 2
        elif data[position + 1] == 0xFF:
            position += 1
        else:
            return position
