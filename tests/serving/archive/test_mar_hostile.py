"""Archives made to deceive: each is rejected with its own code, and nothing of it is written."""

import gzip
import stat
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from serving_runtime.archive import mar
from serving_runtime.archive.zip_reader import CHUNK_BYTES

from .crafted import GOOD, HANDLER, described, files, item, java_sees, laid, manifest, rejected

HIDDEN = item("network.py", b"print('hidden')", listed=False)
ZIP64 = struct.pack("<2H2Q", 1, 16, 5, 5)
UNICODE_PATH = struct.pack("<2HBL", 0x7075, 11, 1, 0) + b"x.py.."
HARD_LINK = struct.pack("<2H", 0x000D, 18) + b"\0" * 12 + b"target"
LINK = replace(HANDLER, name=b"link", body=b"/etc/passwd", mode=stat.S_IFLNK | 0o777)


def named(name: bytes, **fields: Any) -> bytes:
    """A zip with the good files and one of this name."""
    return files(replace(item("x", b"x"), name=name, **fields))


# A deflate stream of exactly one chunk of the reader: blocks of at most 65,535 bytes, each with 5 bytes before it.
BLOCKS_SIZE = CHUNK_BYTES - 4 * 5
BLOCKS = b"".join(
    struct.pack("<B2H", last, size, size ^ 0xFFFF) + bytes(size)
    for last, size in [(0, 65535)] * 3 + [(1, BLOCKS_SIZE - 3 * 65535)]
)
NAMES = [
    b"../up.py",
    b"a/../../up.py",
    b"a/..",
    b"..",
    b".",
    b"a/./b.py",
    b"/absolute.py",
    b"//host/share.py",
    b"a//b.py",
    b"back\\slash.py",
    b"..\\up.py",
    b"C:\\windows.py",
    b"C:drive.py",
    b"nul\0.py",
    b"line\n.py",
    b"escape\x1b[2J.py",
    b"star*.py",
    b"trailing. ",
    b"trailing.",
    b" leading.py",
    b"a/ /b.py",
    b"x" * 256,
    b"x" * 4096,
    b"d/" * 200 + b"deep.py",
    b"",
    b"\xff\xfe.py",
]
UNICODE_NAMES = [
    "\u2025/up.py",
    "\uff0e\uff0e/up.py",
    "a\u2215b.py",
    "handl\u0435r.py",
    "\u202egpj.py",
    "\x85.py",
    "\uff41.py",
    "x\u200d.py",
    "\u03b1beta.py",
    "\U0001f389.txt",
    "e\u0301" * 100,
]
OTHER_ALPHABETS = [
    "gr\u00f6\u00dfe.txt",
    "gro\u0308\u00dfe.txt",
    "\u043c\u043e\u0434\u0435\u043b\u044c_v2.pt",
    "\u03b2\u03ac\u03c1\u03b7.bin",
    "\u6a21\u578b/\u91cd\u307f.pt",
    "\ubaa8\ub378.py",
    "\u0646\u0645\u0648\u0630\u062c.txt",
    "mod\u00e8le (2).py",
]

ARCHIVES: dict[str, tuple[str, bytes]] = {
    "empty file": ("not_a_zip", b""),
    "text": ("not_a_zip", b"class Handler: ...\n" * 10),
    "tar": ("not_a_zip", b"handler.py" + b"\0" * 2000),
    "tar of tar": ("not_a_zip", b"handler.py" + b"\0" * 247 + b"ustar\x0000" + b"\0" * 2000),
    "tgz": ("not_a_zip", gzip.compress(b"handler.py" + b"\0" * 2000)),
    "pointer of Git LFS": (
        "not_a_zip",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    ),
    "page of HTML": ("not_a_zip", b"<!DOCTYPE html><html>Sign in</html>"),
    "zip without entries": ("manifest_missing", laid([])),
    "zip without a manifest": ("manifest_missing", laid([HANDLER])),
    "bytes before": ("zip_layout", b"#!/bin/sh\n" + laid(GOOD, shift=10)),
    "bytes before, not told": ("zip_layout", b"#!/bin/sh\n" + laid(GOOD)),
    "bytes behind": ("zip_layout", laid(GOOD) + b"behind"),
    "another end in the comment": ("zip_layout", laid(GOOD, comment=laid([HANDLER])[-22:])),
    "a comment": ("zip_layout", laid(GOOD, comment=b"hello")),
    "two zips": ("zip_layout", laid(GOOD) + laid(GOOD)),
    "hidden file first": ("zip_layout", laid([HIDDEN, *GOOD])),
    "hidden file between": ("zip_layout", laid([GOOD[0], HIDDEN, GOOD[1]])),
    "hidden file last": ("zip_layout", laid([*GOOD, HIDDEN])),
    "hidden manifest": ("zip_layout", laid([replace(manifest(handler="x"), listed=False), *GOOD])),
    "listed, but not there": ("zip_layout", files(item("ghost.py", has_header=False, offset=9999))),
    "listed at another's place": ("zip_layout", files(item("ghost.py", has_header=False, offset=0))),
    "two names for one": ("zip_layout", files(replace(HANDLER, local_name=b"handl2r.py"))),
    "a longer name before": ("zip_layout", named(b"x.py", local_name=b"network.py")),
    "two sizes for one": ("zip_layout", files(item("a", b"aaaa", local_size=3))),
    "two sets of flags": ("zip_layout", files(item("a", b"aaaa", local_flags=8))),
    "gap between": ("zip_layout", files(item("a", b"a", before=b"\0" * 7))),
    "overlap": ("zip_layout", files(item("a", b"a" * 50, packed=90, size=90))),
    "stored with two sizes": ("zip_layout", files(item("a", b"aaaa", size=5))),
    "descriptor behind a stored file": (
        "zip_layout",
        files(
            item("a", b"aa", flags=8, descriptor=struct.pack("<4s3L", b"PK\7\x08", zlib.crc32(b"aa"), 2, 2))
        ),
    ),
    "descriptor that lies": (
        "zip_layout",
        files(replace(described(item("a", b"aa")), descriptor=struct.pack("<4s3L", b"PK\7\x08", 1, 2, 3))),
    ),
    "descriptor missing": ("zip_layout", files(replace(described(item("a", b"aa")), descriptor=b""))),
    "folder with content": ("zip_layout", files(item("folder/", b"content", mode=0o40755))),
    "another name in an extra field": ("zip_layout", files(item("a", extra=UNICODE_PATH))),
    "broken extra field": ("zip_layout", files(item("a", extra=b"\x55\x54\xff\xff\0"))),
    "hard link in an extra field": ("zip_layout", files(item("a", extra=HARD_LINK))),
    "count too small": ("zip_layout", laid([*GOOD, item("a")], count=2)),
    "count too large": ("zip_layout", laid(GOOD, count=3)),
    "more in the directory than files": ("zip_layout", laid(GOOD, tail=b"PK\5\5\4\0more")),
    "zip64 count": ("zip64", laid(GOOD, count=0xFFFF)),
    "zip64 size": ("zip64", files(item("a", size=0xFFFFFFFF, packed=0xFFFFFFFF))),
    "zip64 extra field": ("zip64", files(item("a", b"aaaaa", extra=ZIP64))),
    "zip64 extra field before the file": ("zip64", files(item("a", b"aaaaa", local_extra=ZIP64))),
    "encrypted": ("encrypted", files(item("a", b"secret", flags=1))),
    "strongly encrypted": ("encrypted", files(item("a", b"secret", flags=0x41))),
    "names encrypted": ("encrypted", files(item("a", b"secret", flags=0x2000))),
    "bzip2": ("compression", files(item("a", b"BZh", method=12))),
    "AES": ("compression", files(item("a", b"aes", method=99))),
    "symbolic link": ("not_a_file", files(LINK)),
    "symbolic link to a folder, and a file in it": (
        "not_a_file",
        files(replace(LINK, name=b"d"), item("d/x.py", b"x")),
    ),
    "device": ("not_a_file", files(item("dev", mode=stat.S_IFBLK | 0o600))),
    "pipe": ("not_a_file", files(item("pipe", mode=stat.S_IFIFO | 0o600))),
    "socket": ("not_a_file", files(item("socket", mode=stat.S_IFSOCK | 0o600))),
    "folder that is no folder": ("not_a_file", files(item("d", mode=stat.S_IFDIR | 0o755))),
    "setuid": ("not_a_file", files(item("su", b"x", mode=stat.S_IFREG | stat.S_ISUID | 0o755))),
    "setgid": ("not_a_file", files(item("sg", b"x", mode=stat.S_IFREG | stat.S_ISGID | 0o755))),
    "double": ("duplicate_name", files(replace(HANDLER, body=b"print('second')"))),
    "double manifest": ("duplicate_name", files(manifest(handler="other.py"))),
    "case clash": ("duplicate_name", files(item("Handler.py", b"x"))),
    "file and folder": ("duplicate_name", files(item("a", b"x"), item("a/b", b"x"))),
    "file and empty folder": ("duplicate_name", files(item("a", b"x"), item("a/", mode=0o40755))),
    "file and folder by case": ("duplicate_name", files(item("A", b"x"), item("a/b", b"x"))),
    "composed and decomposed": (
        "duplicate_name",
        files(*(item(name, b"x", flags=0x800) for name in ("\u00f6.txt", "o\u0308.txt"))),
    ),
    "wrong checksum": ("damaged", files(item("a", b"aaaa", crc=1))),
    "deflate stream broken": ("damaged", files(item("a", b"\xff" * 9, method=8))),
    "deflate stream goes on": ("damaged", files(item("a", b"\x03\x00more", method=8, size=0, crc=0))),
    "deflate stream ends early": ("damaged", files(item("a", b"\x4b\x4c", method=8, size=5, crc=0))),
    "deflate stream goes on after a whole chunk": (
        "damaged",
        files(item("a", BLOCKS + b"more", method=8, size=BLOCKS_SIZE, crc=zlib.crc32(bytes(BLOCKS_SIZE)))),
    ),
    "larger than it says": (
        "damaged",
        files(item("a", b"a" * 5000, deflated=True, size=100, crc=zlib.crc32(b"a" * 100))),
    ),
    "bytecode": ("bytecode", files(item("handler.pyc", b"x"))),
    "bytecode in its folder": ("bytecode", files(item("__pycache__/handler.cpython-311.pyc", b"x"))),
    "something else in MAR-INF": ("bad_name", files(item("MAR-INF/x.json", b"{}"))),
    **{f"name {name[:20]!r}": ("bad_name", named(name)) for name in NAMES},
    **{f"name {name!r}": ("bad_name", named(name.encode(), flags=0x800)) for name in UNICODE_NAMES},
}

MANIFESTS: dict[str, tuple[str, bytes]] = {
    "not JSON": ("bad_manifest", b"{"),
    "not UTF-8": ("bad_manifest", b"\xff\xfe{\0}\0"),
    "a list": ("bad_manifest", b"[]"),
    "NaN": ("bad_manifest", b'{"model": NaN}'),
    "nested without end": ("bad_manifest", b'{"model":' * 50_000),
    "a key twice": ("bad_manifest", b'{"model": {"handler": "handler.py", "handler": "evil.py"}}'),
    "no model": ("bad_manifest", b'{"runtime": "python"}'),
}

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "TorchServe settings": ("config", {"configFile": "model-config.yaml"}),
    "an envelope": ("envelope", {"envelope": "kservev2"}),
    "no name": ("bad_manifest", {"modelName": None}),
    "a path as name": ("bad_manifest", {"modelName": "../digits"}),
    "a number as name": ("bad_manifest", {"modelName": 5}),
    "no handler": ("bad_manifest", {"handler": None}),
    "a handler that is not there": ("bad_handler", {"handler": "other.py"}),
    "a handler that is no .py": ("bad_handler", {"handler": "model-config.yaml"}),
    "a handler outside": ("bad_manifest", {"handler": "../handler.py"}),
    "a handler in a package": ("bad_manifest", {"handler": "os.path:join"}),
    "a known handler that ends in .py": ("bad_handler", {"handler": "image_classifier.py"}),
    "weights that are not there": ("file_missing", {"serializedFile": "weights.pt"}),
    "weights outside": ("file_missing", {"serializedFile": "/etc/passwd"}),
    "a network that is not there": ("file_missing", {"modelFile": "network.py"}),
    "a strange version": ("bad_manifest", {"modelVersion": "1/../2"}),
}

RECORDS: dict[str, tuple[str, str, bytes]] = {
    "model spec without a name": ("bad_model_spec", "model.yaml", b"description: x\n"),
    "model spec that makes objects": (
        "bad_model_spec",
        "model.yaml",
        b"name: !!python/object/apply:os.system ['true']\n",
    ),
    "model spec with a merge bomb": ("bad_model_spec", "model.yaml", b"a: &a {x: 1}\nb: &b {<<: [*a,*a]}\n"),
    "model spec nested without end": ("bad_model_spec", "model.yaml", b"[" * 3000),
    "golden without a request": ("bad_golden", "golden.json", b'{"response": {"outputs": [1]}}'),
    "golden with an endless number": (
        "bad_golden",
        "golden.json",
        b'{"request": {"inputs": [1e999]}, "response": {"outputs": [1]}}',
    ),
    "golden without outputs": ("bad_golden", "golden.json", b'{"request": {"inputs": [1]}, "response": {}}'),
    "training with NaN": ("bad_training", "training.json", b'{"metrics": {"loss": NaN}}'),
    "training with a number of 400 digits": (
        "bad_training",
        "training.json",
        b'{"metrics": {"loss": 1' + 400 * b"0" + b"}}",
    ),
    "training with 1e999": ("bad_training", "training.json", b'{"metrics": {"loss": 1e999}}'),
    "training with a text": ("bad_training", "training.json", b'{"metrics": {"loss": "low"}}'),
    "training with uneven curves": (
        "bad_training",
        "training.json",
        b'{"curves": {"loss": {"steps": [1], "values": []}}}',
    ),
    "training with a curve that is none": ("bad_training", "training.json", b'{"curves": {"loss": [1]}}'),
}


def check(archive: bytes, code: str, tmp_path: Path) -> None:
    """Rejected with this code, in words that a person can act on and a terminal can show."""
    error = rejected(archive, tmp_path)
    assert error.code == code, str(error)
    assert str(error).isprintable()
    assert str(error).endswith(".")
    assert 20 < len(str(error)) < 600


class TestHostileArchives:
    @pytest.mark.parametrize("name", OTHER_ALPHABETS)
    def test_letters_of_any_language_are_accepted_and_kept(self, name: str, tmp_path: Path) -> None:
        source = tmp_path / "upload"
        source.write_bytes(files(item(name, b"x", flags=0x800)))
        rewritten = mar.rewrite(source, tmp_path / "destination")
        assert name in rewritten.files
        mar.unpack(tmp_path / "destination", tmp_path / "unpacked")
        assert (tmp_path / "unpacked" / name).read_bytes() == b"x"

    @pytest.mark.parametrize(("file", "words"), [("tgz", "tgz"), ("pointer of Git LFS", "git lfs pull")])
    def test_what_is_no_zip_is_said_to_be_what_it_is(self, file: str, words: str, tmp_path: Path) -> None:
        assert words in str(rejected(ARCHIVES[file][1], tmp_path))

    def test_the_same_files_without_deceit_are_accepted(self, tmp_path: Path) -> None:
        """Positive control: what the crafted archives have in common is no reason to reject them."""
        source = tmp_path / "upload"
        source.write_bytes(files(item("a/b-c_1 (2).py", b"x"), item("folder/", mode=0o40755)))
        info = mar.rewrite(source, tmp_path / "destination")
        assert info.files == ("MAR-INF/MANIFEST.json", "a/b-c_1 (2).py", "handler.py")

    @pytest.mark.parametrize(("code", "archive"), ARCHIVES.values(), ids=ARCHIVES)
    def test_zip(self, code: str, archive: bytes, tmp_path: Path) -> None:
        check(archive, code, tmp_path)

    @pytest.mark.parametrize(("code", "text"), MANIFESTS.values(), ids=MANIFESTS)
    def test_manifest(self, code: str, text: bytes, tmp_path: Path) -> None:
        check(laid([replace(manifest(), body=text), HANDLER]), code, tmp_path)

    @pytest.mark.parametrize(("code", "model"), MODELS.values(), ids=MODELS)
    def test_model_of_the_manifest(self, code: str, model: dict[str, Any], tmp_path: Path) -> None:
        extra = [item(name, b"x") for name in ("requirements.txt", "model-config.yaml")]
        check(laid([manifest(**model), HANDLER, *extra]), code, tmp_path)

    @pytest.mark.parametrize("runtime", ["LSP", "java", "", "python2", "python; rm -rf /"])
    def test_runtime_other_than_python(self, runtime: str, tmp_path: Path) -> None:
        check(laid([manifest(runtime), HANDLER]), "bad_runtime", tmp_path)

    @pytest.mark.parametrize(("code", "name", "text"), RECORDS.values(), ids=RECORDS)
    def test_record(self, code: str, name: str, text: bytes, tmp_path: Path) -> None:
        check(files(item(name, text)), code, tmp_path)

    def test_archive_cut_off_anywhere_is_rejected(self, tmp_path: Path) -> None:
        whole = files(item("a", b"a" * 300, deflated=True))
        for length in range(len(whole)):
            source = tmp_path / "upload"
            source.write_bytes(whole[:length])
            with pytest.raises(mar.MarError) as rejection:
                mar.inspect(source)
            assert rejection.value.code in ("not_a_zip", "truncated", "zip_layout")

    def test_flipped_bit_is_rejected_or_changes_nothing(self, tmp_path: Path) -> None:
        """Dates, versions and modes are dropped; a flip anywhere else does not get through."""
        whole = files(item("a", bytes(range(200)), deflated=True), item("b", b"stored"))
        source, destination = tmp_path / "upload", tmp_path / "destination"
        source.write_bytes(whole)
        canonical = mar.rewrite(source, destination).sha256
        passed = 0
        for position in range(len(whole)):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << position % 8
            source.write_bytes(flipped)
            try:
                assert mar.rewrite(source, destination).sha256 == canonical, position
                passed += 1
            except mar.MarError:
                continue
        assert 0 < passed < len(whole) / 5


class TestWhatJavaSees:
    """TorchServe unpacks with Java, which reads a zip in another way than Python."""

    ACCEPTED = {
        "plain": laid(GOOD),
        "deflated": laid([replace(each, deflated=True) for each in GOOD]),
        "sizes behind the files": laid([described(each) for each in GOOD]),
        "sizes behind the files, unsigned": laid([described(each, signed=False) for each in GOOD]),
        "folders": laid([item("MAR-INF/", mode=0o40755), *GOOD, item("d/", mode=0), item("d/x.py", b"x")]),
        "times and owners": laid(
            [replace(each, extra=b"UT\5\0\1\0\0\0\0", local_extra=b"ux\1\0\1") for each in GOOD]
        ),
        "names marked as UTF-8": laid([replace(each, flags=0x800) for each in GOOD]),
        "an empty deflated file": files(item("empty.txt", deflated=True)),
    }

    def test_java_sees_files_that_the_directory_hides(self, tmp_path: Path) -> None:
        """Positive control: the difference that the rejections are about is real."""
        archive = tmp_path / "hidden.mar"
        archive.write_bytes(laid([*GOOD, HIDDEN]))
        assert "network.py" in java_sees([archive])[archive]

    def test_accepted_archives_hold_the_same_for_java_and_for_us(self, tmp_path: Path) -> None:
        for name, archive in self.ACCEPTED.items():
            (tmp_path / f"{name}.mar").write_bytes(archive)
            mar.rewrite(tmp_path / f"{name}.mar", tmp_path / f"{name} rewritten.mar")
        for archive_path, found in java_sees(sorted(tmp_path.iterdir())).items():
            folder = tmp_path / "unpacked" / archive_path.name
            info = mar.unpack(archive_path, folder)
            assert set(found) == set(info.files), archive_path
            if "rewritten" in archive_path.name:
                assert found == {name: mar.sha256_of(folder / name) for name in info.files}
