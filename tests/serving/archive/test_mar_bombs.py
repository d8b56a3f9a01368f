"""Archives that would fill memory or disk: each is rejected within seconds, in little memory."""

import io
import json
import multiprocessing
import random
import time
import tracemalloc
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from serving_runtime.archive import mar
from serving_runtime.archive.zip_names import MAX_ENTRIES
from serving_runtime.archive.zip_reader import chunks, open_zip

from .crafted import HANDLER, MODEL, files, item, laid, manifest, rejected


class TestBombs:
    """Rejected within seconds, in little memory, with nothing on the disk."""

    MEMORY = 20 * 1024**2

    def check(self, archive: bytes, code: str, tmp_path: Path) -> None:
        # In a process of its own, because threads of this one may allocate meanwhile.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            found, seconds, peak = process.submit(_measured, archive, tmp_path).result(60)
        assert found == code
        assert seconds < 5
        assert peak - len(archive) < self.MEMORY

    def test_one_file_packed_a_thousand_to_one(self, tmp_path: Path) -> None:
        zeros = _zeros(200 * 1024**2)
        bomb = item("a", zeros, method=8, size=200 * 1024**2, crc=0)
        self.check(files(bomb), "ratio", tmp_path)

    def test_one_bomb_among_honest_files(self, tmp_path: Path) -> None:
        """The archive as a whole is packed less than a hundred to one."""
        honest = item("weights", random.Random(0).randbytes(2 * 1024**2))
        bomb = item("a", _zeros(20 * 1024**2), method=8, size=20 * 1024**2, crc=0)
        self.check(files(honest, bomb), "ratio", tmp_path)

    def test_file_that_says_it_is_small(self, tmp_path: Path) -> None:
        bomb = item("a", _zeros(200 * 1024**2), method=8, size=1000, crc=zlib.crc32(bytes(1000)))
        self.check(files(bomb), "damaged", tmp_path)
        packed = io.BytesIO(files(bomb))
        entry = open_zip(packed)["a"]
        written: list[int] = []
        with pytest.raises(mar.MarError):
            written.extend(len(chunk) for chunk in chunks(packed, entry))
        assert sum(written) <= 1000

    def test_many_files_that_overlap(self, tmp_path: Path) -> None:
        """One file's data used by all, each header quoted by the one before it."""
        kernel = files(item("kernel", _zeros(10 * 1024**2), method=8, size=10 * 1024**2, crc=0))
        offset = kernel.index(b"PK\3\4", kernel.index(b"handler.py"))
        ghosts = [
            item(f"g{at}", has_header=False, offset=offset, size=10**7, packed=10**4) for at in range(900)
        ]
        self.check(
            files(item("kernel", _zeros(10**7), method=8, size=10**7, crc=0), *ghosts), "zip_layout", tmp_path
        )

    def test_many_files_just_below_the_limit_of_each(self, tmp_path: Path) -> None:
        zeros = _zeros(1024**2)
        crc = zlib.crc32(bytes(1024**2))
        bombs = [item(f"a{at}", zeros, method=8, size=1024**2, crc=crc) for at in range(900)]
        self.check(files(*bombs), "ratio", tmp_path)

    def test_more_than_a_gigabyte_declared(self, tmp_path: Path) -> None:
        bombs = [item(f"a{at}", method=8, packed=0, size=2 * 10**8) for at in range(6)]
        self.check(files(*bombs), "too_large", tmp_path)

    def test_more_entries_than_allowed(self, tmp_path: Path) -> None:
        many = [item(f"a{at}") for at in range(MAX_ENTRIES - 1)]
        self.check(files(*many), "too_many_files", tmp_path)

    def test_folders_count_as_entries(self, tmp_path: Path) -> None:
        many = [item(f"a{at}/", mode=0o40755) for at in range(MAX_ENTRIES)]
        self.check(files(*many), "too_many_files", tmp_path)

    def test_archive_in_an_archive_is_a_plain_file(self, tmp_path: Path) -> None:
        """It is never opened, so it cannot grow."""
        source = tmp_path / "upload"
        source.write_bytes(files(item("inner.zip", laid([item("a", _zeros(1000), method=8)]))))
        assert "inner.zip" in mar.inspect(source).files

    def test_sparse_archive_over_the_limit(self, tmp_path: Path) -> None:
        source = tmp_path / "upload"
        with source.open("wb") as file:
            file.truncate(1024**3 + 1)
        with pytest.raises(mar.MarError) as rejection:
            mar.inspect(source)
        assert rejection.value.code == "too_large"

    def test_manifest_too_long_to_read(self, tmp_path: Path) -> None:
        text = json.dumps({"model": MODEL, "description": "x" * 2 * 1024**2}).encode()
        self.check(laid([replace(manifest(), body=text), HANDLER]), "file_too_large", tmp_path)


def _zeros(count: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(count // 2**20)) + packer.flush()


def _measured(archive: bytes, folder: Path) -> tuple[str, float, int]:
    """Code of an archive's rejection, how many seconds it took, and the peak of allocated bytes."""
    tracemalloc.start()
    begin = time.monotonic()
    error = rejected(archive, folder)
    seconds = time.monotonic() - begin
    _, peak = tracemalloc.get_traced_memory()
    return error.code, seconds, peak
