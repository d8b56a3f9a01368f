"""Opens a zip file from outside, and trusts nothing in it. Called by `serving_runtime.archive.mar`.

A zip says twice what it holds: in headers before each file and in a directory at the end. Python reads the
directory, Java (and so TorchServe) reads the headers one after the other, and an archive may tell each of
them another story. This reader accepts only archives in which both tell the same: every byte belongs to
exactly one header, one file's data or the directory. The format is described in PKWARE's APPNOTE 6.3.
"""

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from serving_runtime.archive.errors import MarError
from serving_runtime.archive.zip_names import MAX_ENTRIES, check_name, check_names

MAX_TOTAL_BYTES = 1024**3
MAX_RATIO = 100
# Small files may be packed better than MAX_RATIO: nothing of this size can fill a disk.
RATIO_FLOOR_BYTES = 1024**2
CHUNK_BYTES = 256 * 1024

_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_DESCRIPTOR = 0x0008
_KNOWN_FLAGS = 0x0006 | _DESCRIPTOR | 0x0800
# Times, user ids and the mark of a jar. Other extra fields may change a name, a size or make a link.
_HARMLESS_EXTRAS = {0x000A, 0x5455, 0x5855, 0x7855, 0x7875, 0xCAFE}

_LOOK_BYTES = 512
_REPACK = "Pack it again with torch-model-archiver."
_UNPACKED = "Pack it without compression (torch-model-archiver --archive-format zip-store)."


@dataclass(frozen=True)
class Entry:
    """One file of an archive: where its packed bytes start and how many bytes it has packed and unpacked."""

    name: str
    start: int
    packed: int
    size: int
    crc: int
    deflated: bool


@dataclass(frozen=True)
class _Record:
    """One line of the directory at the end, as it stands there."""

    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    mode: int
    offset: int


def open_zip(file: BinaryIO) -> dict[str, Entry]:
    """List the files of an archive by name, folders left out. Reads headers only. Raises MarError."""
    end = file.seek(0, os.SEEK_END)
    if end > MAX_TOTAL_BYTES:
        raise MarError("too_large", f"The archive has {end} bytes; at most {MAX_TOTAL_BYTES} are accepted.")
    directory = _directory_start(file, end)
    records = sorted(_records(file, directory, end), key=lambda record: record.offset)
    entries: dict[str, Entry] = {}
    expected = 0
    for at, record in enumerate(records):
        following = records[at + 1].offset if at + 1 < len(records) else directory
        name = _name(record)
        if record.offset != expected:
            raise _layout(f"{name} does not start where the file before it ends")
        entry = _entry(file, record, name, following)
        expected = following
        if name in entries:
            raise MarError("duplicate_name", f"The archive holds {name} twice. Keep one of them.")
        entries[name] = entry
    _check_sizes(entries, end)
    files = {name: entry for name, entry in entries.items() if not name.endswith("/")}
    check_names(set(files), {name[:-1] for name in entries if name.endswith("/")})
    return files


def chunks(file: BinaryIO, entry: Entry) -> Iterator[bytes]:
    """Yield a file's bytes, never more than its declared size. Raises MarError if the bytes are wrong."""
    crc = count = 0
    for chunk in _inflated(file, entry) if entry.deflated else _stored(file, entry):
        count += len(chunk)
        if count > entry.size:
            break
        crc = zlib.crc32(chunk, crc)
        yield chunk
    if count != entry.size or crc != entry.crc:
        raise _damaged(entry, "its bytes are not what the archive declares")


def read(file: BinaryIO, entry: Entry, limit: int) -> bytes:
    """The bytes of a file of at most `limit` bytes. Raises MarError."""
    if entry.size > limit:
        raise MarError("file_too_large", f"{entry.name} has {entry.size} bytes; at most {limit} are allowed.")
    return b"".join(chunks(file, entry))


def _directory_start(file: BinaryIO, end: int) -> int:
    file.seek(max(0, end - _END.size))
    tail = file.read(_END.size)
    if len(tail) < _END.size or tail[:4] != b"PK\x05\x06":
        raise _no_end(file, end)
    _, disk, first_disk, here, count, size, start, comment = _END.unpack(tail)
    if 0xFFFF in (disk, here, count) or 0xFFFFFFFF in (size, start):
        raise MarError("zip64", f"The archive uses zip64, which files under 4 GB do not need. {_REPACK}")
    if disk or first_disk or here != count:
        raise MarError("zip_layout", f"The archive is one part of several. {_REPACK}")
    if count > MAX_ENTRIES:
        raise MarError(
            "too_many_files", f"The archive has {count} entries; at most {MAX_ENTRIES} are allowed."
        )
    if comment or start + size != end - _END.size or size < count * _CENTRAL.size:
        raise _layout("its directory is not at the end")
    return int(start)


def _no_end(file: BinaryIO, end: int) -> MarError:
    file.seek(0)
    start = file.read(_LOOK_BYTES)
    if start[:4] != b"PK\x03\x04":
        return MarError("not_a_zip", _what_instead(start))
    file.seek(max(0, end - _END.size - 0xFFFF))
    if b"PK\x05\x06" in file.read():
        return _layout("bytes follow its end")
    return MarError("truncated", "The archive ends too early: a part of it is missing. Upload it again.")


def _what_instead(start: bytes) -> str:
    """What a file is that is no zip, as far as its first bytes tell."""
    if start.startswith(b"\x1f\x8b") or start[257:262] == b"ustar":
        return (
            "The file is a tar archive (--archive-format tgz), only zip archives are accepted. "
            "Pack it again with --archive-format default or zip-store."
        )
    if start.startswith(b"version https://git-lfs"):
        return "The file is a pointer of Git LFS, not the archive itself. Run `git lfs pull` and upload it again."
    if start.lstrip()[:1] == b"<":
        return "The file is a page of HTML or XML, not an archive: was the download rejected? Fetch it again."
    return "The file is no .mar archive (a zip). Pack it with torch-model-archiver."


def _layout(what: str) -> MarError:
    return MarError("zip_layout", f"The archive is not laid out plainly: {what}. {_REPACK}")


def _records(file: BinaryIO, start: int, end: int) -> Iterator[_Record]:
    file.seek(start)
    directory = file.read(end - start)
    count = _END.unpack(directory[-_END.size :])[4]
    at = 0
    for _ in range(count):
        if directory[at : at + 4] != b"PK\x01\x02" or at + _CENTRAL.size > len(directory):
            raise _layout("its directory is damaged")
        fields = _CENTRAL.unpack_from(directory, at)
        (_, _, _, flags, method, _, _, crc, packed, size) = fields[:10]
        (name_length, extra_length, comment_length, disk, _, attributes, offset) = fields[10:]
        at += _CENTRAL.size
        name = directory[at : at + name_length]
        _check_extra(directory[at + name_length : at + name_length + extra_length])
        at += name_length + extra_length + comment_length
        if disk or 0xFFFFFFFF in (packed, size, offset):
            raise MarError("zip64", f"The archive uses zip64 or several parts. {_REPACK}")
        yield _Record(name, flags, method, crc, packed, size, attributes >> 16, offset)
    if at != len(directory) - _END.size:
        raise _layout("its directory holds bytes that belong to no file")


def _check_extra(extra: bytes) -> None:
    while extra:
        if len(extra) < 4:
            raise _layout("an extra field is damaged")
        kind, length = struct.unpack_from("<2H", extra)
        if kind == 1:
            raise MarError("zip64", f"The archive uses zip64, which files under 4 GB do not need. {_REPACK}")
        if kind not in _HARMLESS_EXTRAS or 4 + length > len(extra):
            raise _layout(f"a file carries the extra field 0x{kind:04x}")
        extra = extra[4 + length :]


def _name(record: _Record) -> str:
    try:
        name = record.raw_name.decode("utf-8" if record.flags & 0x0800 else "ascii")
    except UnicodeDecodeError:
        raise MarError(
            "bad_name",
            f"{ascii(record.raw_name[:80])[1:]} is a name in another encoding than UTF-8, which each system reads "
            "differently. Rename the file to ASCII, or pack with torch-model-archiver.",
        ) from None
    check_name(name.removesuffix("/"))
    kind = stat.S_IFMT(record.mode)
    if kind not in (0, stat.S_IFDIR if name.endswith("/") else stat.S_IFREG):
        raise MarError("not_a_file", f"{name} is a link or a device. Put the file itself into the archive.")
    if record.mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX):
        raise MarError("not_a_file", f"{name} is setuid, setgid or sticky. Remove that mode and pack again.")
    return name


def _entry(file: BinaryIO, record: _Record, name: str, following: int) -> Entry:
    """Compare a file's header with the directory, and see that the file fills the space up to `following`."""
    if record.flags & _ENCRYPTED:
        raise MarError("encrypted", f"{name} is encrypted. Pack the archive again without a password.")
    if record.flags & ~_KNOWN_FLAGS or record.method not in (0, 8):
        raise MarError("compression", f"{name} is packed in a way that TorchServe cannot read. {_REPACK}")
    file.seek(record.offset)
    head = file.read(_LOCAL.size)
    if len(head) < _LOCAL.size or head[:4] != b"PK\x03\x04":
        raise _layout(f"{name} has no header")
    _, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack(head)
    if file.read(name_length) != record.raw_name or (flags, method) != (record.flags, record.method):
        raise _layout(f"the header of {name} and the directory differ")
    _check_extra(file.read(extra_length))
    start = record.offset + _LOCAL.size + name_length + extra_length
    declared = (record.crc, record.packed, record.size)
    if flags & _DESCRIPTOR:
        _check_descriptor(file, record, name, start, following, (crc, packed, size))
    elif (crc, packed, size) != declared or start + record.packed != following:
        raise _layout(f"the header of {name} and the directory differ, or bytes lie between two files")
    if name.endswith("/") and record.size:
        raise _layout(f"the folder {name} has content")
    if record.method == 0 and record.packed != record.size:
        raise _layout(f"{name} is not compressed, yet has two sizes")
    return Entry(name, start, record.packed, record.size, record.crc, record.method == 8)


def _check_descriptor(
    file: BinaryIO, record: _Record, name: str, start: int, following: int, head: tuple[int, int, int]
) -> None:
    """Sizes that tools which cannot seek write behind a file: as Java reads them, after a deflated file."""
    declared = (record.crc, record.packed, record.size)
    file.seek(start + record.packed)
    behind = file.read(max(0, min(following - start - record.packed, 17)))
    plain = struct.pack("<3L", *declared)
    fits = record.method == 8 and behind in (plain, b"PK\x07\x08" + plain)
    if not fits or any(value not in (0, whole) for value, whole in zip(head, declared, strict=True)):
        raise _layout(f"the sizes behind {name} and the directory differ")


def _check_sizes(entries: dict[str, Entry], archive_bytes: int) -> None:
    total = sum(entry.size for entry in entries.values())
    if total > MAX_TOTAL_BYTES:
        raise MarError("too_large", f"The files have {total} bytes; at most {MAX_TOTAL_BYTES} are accepted.")
    for entry in entries.values():
        if entry.size > max(RATIO_FLOOR_BYTES, entry.packed * MAX_RATIO):
            raise MarError("ratio", f"{entry.name} is packed over {MAX_RATIO} to 1. {_UNPACKED}")
    if total > max(16 * RATIO_FLOOR_BYTES, archive_bytes * MAX_RATIO):
        raise MarError("ratio", f"The archive is packed over {MAX_RATIO} to 1. {_UNPACKED}")


def _stored(file: BinaryIO, entry: Entry) -> Iterator[bytes]:
    at = entry.start
    end = entry.start + entry.packed
    while at < end:
        # The file may be read elsewhere between two chunks.
        file.seek(at)
        chunk = file.read(min(CHUNK_BYTES, end - at))
        if not chunk:
            return
        at += len(chunk)
        yield chunk


def _inflated(file: BinaryIO, entry: Entry) -> Iterator[bytes]:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    left_over = False
    try:
        for packed in _stored(file, entry):
            left_over = inflate.eof
            rest = packed
            while rest and not inflate.eof:
                yield inflate.decompress(rest, CHUNK_BYTES)
                rest = inflate.unconsumed_tail
            if left_over or inflate.unused_data:
                break
        while not inflate.eof and (chunk := inflate.decompress(b"", CHUNK_BYTES)):
            yield chunk
    except zlib.error:
        raise _damaged(entry, "it cannot be unpacked") from None
    if left_over or not inflate.eof or inflate.unused_data:
        raise _damaged(entry, "its packed data ends elsewhere than declared")


def _damaged(entry: Entry, what: str) -> MarError:
    return MarError("damaged", f"{entry.name} is damaged: {what}. Upload the archive again.")
