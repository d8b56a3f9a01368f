"""A file's text as UTF-8, whatever encoding and line ends it was saved with; called by `import_experiments`.

Encodings are known by their byte order mark, by the zeros that UTF-16 has in plain text, or because the bytes are
valid UTF-8. What is none of these is Latin-1 only where nothing else is meant (docs/adr/0040): a wrong guess would be
stored as a wrong name.
"""

import codecs
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from metadata_api.errors import Invalid

# The first record of every event file says its version.
EVENT_FILE = b"brain.Event:"
CHUNK_BYTES = 1024 * 1024
LINE_BYTES = 64 * 1024
# The longer mark first: that of UTF-32 begins like that of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SAVE_AS = "Save the file as UTF-8 (in a spreadsheet: CSV UTF-8)."
_EUROPE = ("latin-1", "iso8859-15", "cp1252", "iso8859-2", "cp1250", "cp1254")
# Letters and signs that are the same bytes in western, central European and Turkish text.
_ALIKE = frozenset(
    byte
    for byte in range(0xA1, 0x100)
    if (chr(byte).isalpha() or chr(byte) in "°×÷")
    and len({bytes([byte]).decode(encoding, "replace") for encoding in _EUROPE}) == 1
)
_WORD = re.compile(rb"[A-Za-z]*[\x80-\xff][A-Za-z\x80-\xff]*")


@contextmanager
def as_utf8(file: BinaryIO, folder: Path | None = None) -> Iterator[BinaryIO]:
    """The same text in UTF-8 with usual line ends, positioned after the byte order mark if there is one.

    The file itself, where it is that already; otherwise a temporary one in `folder`, by default the system's. Raises
    Invalid `file_empty`, `event_file` and `not_utf8`.
    """
    file.seek(0)
    encoding, start = _encoding(file.read(4096))
    with tempfile.TemporaryFile(dir=folder) as converted, tempfile.TemporaryFile(dir=folder) as with_ends:
        if encoding == "utf-8" and not _is_utf8(file, start):
            _check_latin1(file)
            encoding = "latin-1"
        if encoding != "utf-8":
            _convert(file, start, encoding, converted)
            file, start = converted, 0
        if _ends_lines_by_carriage_returns(file, start):
            _replace_carriage_returns(file, start, with_ends)
            file, start = with_ends, 0
        file.seek(start)
        yield file


def _encoding(head: bytes) -> tuple[str, int]:
    """The encoding as far as the first bytes tell it, and where the text begins."""
    if not head.strip(b" \t\r\n" + codecs.BOM_UTF8):
        raise Invalid("file_empty", "The file is empty. It needs a header and a row for each experiment.")
    if EVENT_FILE in head[:64]:
        detail = "This is an event file of TensorBoard. Import its folder from where it lies: marina import FOLDER."
        raise Invalid("event_file", detail)
    for mark, encoding in MARKS:
        if head.startswith(mark):
            start = len(mark)
            # Programs that append to what another one began write the mark twice.
            while mark == codecs.BOM_UTF8 and head.startswith(mark, start):
                start += len(mark)
            return encoding, start
    even, odd = head[0:400:2].count(0), head[1:400:2].count(0)
    if even + odd > 10:
        if odd > 8 * even:
            return "utf-16-le", 0
        if even > 8 * odd:
            return "utf-16-be", 0
        raise Invalid("not_utf8", f"The file is no text: it holds NUL characters. {SAVE_AS}")
    return "utf-8", 0


def _is_utf8(file: BinaryIO, start: int) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    file.seek(start)
    try:
        while chunk := file.read(CHUNK_BYTES):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _check_latin1(file: BinaryIO) -> None:
    """Raise Invalid unless all that is not ASCII is the same in every encoding that the file could be in.

    A word has ASCII letters, too: one of other letters alone would be Cyrillic, Greek or Hebrew.
    """
    file.seek(0)
    line, begins_line = 0, True
    while part := file.readline(LINE_BYTES):
        line += begins_line
        begins_line = part.endswith(b"\n")
        for word in _WORD.findall(part):
            high = {byte for byte in word if byte >= 0x80}
            letters = sum(byte >= 0x80 and chr(byte).isalpha() for byte in word)
            if not high <= _ALIKE or 2 * letters > len(word):
                shown = word[:40].decode("ascii", "replace")
                reason = f"The file is not in UTF-8, and its encoding is unknown: see line {line}, {shown!r}."
                raise Invalid("not_utf8", f"{reason} {SAVE_AS}")


def _convert(file: BinaryIO, start: int, encoding: str, target: BinaryIO) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    file.seek(start)
    line = 1
    try:
        while chunk := file.read(CHUNK_BYTES):
            text = decoder.decode(chunk)
            line += text.count("\n")
            target.write(text.encode())
        target.write(decoder.decode(b"", final=True).encode())
    except UnicodeError:
        raise Invalid(
            "not_utf8", f"The file begins as {encoding.upper()} and is not: see about line {line}. {SAVE_AS}"
        ) from None


def _ends_lines_by_carriage_returns(file: BinaryIO, start: int) -> bool:
    """Whether there are carriage returns and no line feed, as old programs of the Mac write."""
    file.seek(start)
    found = False
    while chunk := file.read(CHUNK_BYTES):
        if b"\n" in chunk:
            return False
        found = found or b"\r" in chunk
    return found


def _replace_carriage_returns(file: BinaryIO, start: int, target: BinaryIO) -> None:
    file.seek(start)
    while chunk := file.read(CHUNK_BYTES):
        target.write(chunk.replace(b"\r", b"\n"))
