"""Archives as they are meant: built, inspected, rewritten, unpacked; and exchanged with TorchServe's own tools."""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from serving_runtime.archive import mar
from serving_runtime.archive.manifest import MANIFEST

from .crafted import GOOD, java, java_sees, laid, manifest

SPEC = """
name: digits
labels: ["0", "1"]
inputs: [{name: image, datatype: UINT8, shape: [-1, 28, 28], accepts: [UINT8, BYTES]}]
outputs: [{name: label, datatype: BYTES, shape: [-1]}]
"""
GOLDEN = {"request": {"inputs": [{"name": "image"}]}, "response": {"outputs": [{"name": "label"}]}}
TRAINING = {"metrics": {"test_accuracy": 0.9}, "curves": {"loss": {"steps": [1, 2], "values": [0.5, 0.25]}}}
FILES: dict[str, bytes | Path] = {
    "handler.py": b"class Handler: ...\n",
    "network.py": b"class Network: ...\n",
    "weights.safetensors": bytes(range(256)) * 40,
    "model.yaml": SPEC.encode(),
    "golden.json": json.dumps(GOLDEN).encode(),
    "training.json": json.dumps(TRAINING).encode(),
}


def build(path: Path, files: dict[str, bytes | Path] = FILES) -> mar.MarInfo:
    return mar.build(
        path, name="digits", handler="handler.py", serialized_file="weights.safetensors", files=files
    )


class TestBuild:
    def test_says_what_it_packed(self, tmp_path: Path) -> None:
        info = build(tmp_path / "digits.mar")
        assert (info.name, info.handler) == ("digits", "handler.py")
        assert info.files == (MANIFEST, *sorted(FILES))
        assert info.spec is not None
        assert info.spec.labels == ("0", "1")
        assert info.golden == GOLDEN
        assert info.training == TRAINING
        assert info.size == (tmp_path / "digits.mar").stat().st_size
        assert info.sha256 == mar.sha256_of(tmp_path / "digits.mar")

    def test_same_content_gives_the_same_bytes_in_any_order_and_from_files(self, tmp_path: Path) -> None:
        (tmp_path / "weights").write_bytes(bytes(range(256)) * 40)
        shuffled = dict(reversed(FILES.items())) | {"weights.safetensors": tmp_path / "weights"}
        assert build(tmp_path / "a.mar").sha256 == build(tmp_path / "b.mar", shuffled).sha256

    def test_bytes_are_the_same_on_every_machine(self, tmp_path: Path) -> None:
        """Versions are recognised by hash; if this hash changes, every archive looks new after an upgrade."""
        info = mar.build(
            tmp_path / "x.mar",
            name="x",
            handler="handler.py",
            serialized_file=None,
            files={"handler.py": b"class Handler: ...\n"},
        )
        assert info.sha256 == "8e0dc562e210c11023cd2f0372b9b2dea928d09e61e96b197511e11a87939c8d"

    def test_layout_is_fixed(self, tmp_path: Path) -> None:
        build(tmp_path / "digits.mar")
        with zipfile.ZipFile(tmp_path / "digits.mar") as archive:
            assert archive.namelist() == [MANIFEST, *sorted(FILES)]
            for entry in archive.infolist():
                assert entry.date_time == (1980, 1, 1, 0, 0, 0)
                assert entry.external_attr >> 16 == 0o100644
                assert entry.compress_type == zipfile.ZIP_STORED
                assert entry.extra == b""

    def test_wrong_names_leave_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(mar.MarError) as rejection:
            build(tmp_path / "digits.mar", FILES | {"../up.py": b""})
        assert rejection.value.code == "bad_name"
        with pytest.raises(mar.MarError):
            build(tmp_path / "digits.mar", {"weights.safetensors": b""})
        assert list(tmp_path.iterdir()) == []


class TestRewrite:
    def test_is_idempotent(self, tmp_path: Path) -> None:
        (tmp_path / "upload").write_bytes(laid([replace(each, deflated=True) for each in GOOD]))
        first = mar.rewrite(tmp_path / "upload", tmp_path / "first.mar")
        second = mar.rewrite(tmp_path / "first.mar", tmp_path / "second.mar")
        assert first == second
        assert (tmp_path / "first.mar").read_bytes() == (tmp_path / "second.mar").read_bytes()

    def test_keeps_the_bytes_of_our_own_archives(self, tmp_path: Path) -> None:
        assert build(tmp_path / "ours.mar") == mar.rewrite(tmp_path / "ours.mar", tmp_path / "again.mar")

    def test_keeps_the_meaning_of_the_manifest_and_nothing_else(self, tmp_path: Path) -> None:
        model = {"modelVersion": "2.5", "serializedFile": "handler.py", "description": "x", "extensions": "y"}
        (tmp_path / "upload").write_bytes(laid([manifest("python3", **model), GOOD[1]]))
        info = mar.rewrite(tmp_path / "upload", tmp_path / "out.mar")
        assert info.manifest == {
            "createdOn": "01/01/1980 00:00:00",
            "runtime": "python",
            "model": {
                "modelName": "digits",
                "serializedFile": "handler.py",
                "handler": "handler.py",
                "modelVersion": "2.5",
            },
            "archiverVersion": "1.0",
        }

    def test_order_compression_and_folders_do_not_matter(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(laid(GOOD))
        (tmp_path / "b").write_bytes(laid([replace(each, deflated=True) for each in reversed(GOOD)]))
        hashes = {mar.rewrite(tmp_path / name, tmp_path / f"{name}.mar").sha256 for name in "ab"}
        assert len(hashes) == 1

    @pytest.mark.parametrize(
        "handler", ["image_classifier", "handler", "handler.py:predict", "handler:predict"]
    )
    def test_takes_each_way_to_name_a_handler(self, handler: str, tmp_path: Path) -> None:
        (tmp_path / "upload").write_bytes(laid([manifest(handler=handler), GOOD[1]]))
        assert mar.rewrite(tmp_path / "upload", tmp_path / "out.mar").handler == handler


class TestUnpack:
    def test_writes_every_file(self, tmp_path: Path) -> None:
        build(tmp_path / "digits.mar", FILES | {"folder/more.txt": b"more"})
        info = mar.unpack(tmp_path / "digits.mar", tmp_path / "new" / "folder")
        assert (tmp_path / "new/folder/folder/more.txt").read_bytes() == b"more"
        assert (tmp_path / "new/folder/network.py").read_bytes() == FILES["network.py"]
        assert json.loads((tmp_path / "new/folder" / MANIFEST).read_text()) == info.manifest

    def test_mixes_with_nothing_that_is_there(self, tmp_path: Path) -> None:
        build(tmp_path / "digits.mar")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "predictor.py").write_text("old")
        with pytest.raises(FileExistsError):
            mar.unpack(tmp_path / "digits.mar", tmp_path / "folder")
        assert [path.name for path in (tmp_path / "folder").iterdir()] == ["predictor.py"]


class TestTorchServesTools:
    def archiver(self, folder: Path, *arguments: str) -> Path:
        """Run torch-model-archiver on the files of FILES; gives the archive's path."""
        for name, body in FILES.items():
            assert isinstance(body, bytes)
            (folder / name).write_bytes(body)
        program = Path(sys.executable).parent / "torch-model-archiver"
        extra = ",".join(
            str(folder / name) for name in ("network.py", "model.yaml", "golden.json", "training.json")
        )
        command: list[Any] = [
            program,
            *("--model-name", "digits", "--version", "1.0", "--handler", folder / "handler.py"),
            *("--serialized-file", folder / "weights.safetensors", "--extra-files", extra),
            *("--export-path", folder, *arguments),
        ]
        environment = {**os.environ, "TMPDIR": str(folder)}
        subprocess.run(command, check=True, env=environment, timeout=60, capture_output=True)
        return folder / "digits.mar"

    def test_archive_of_the_archiver_becomes_the_one_that_we_build(self, tmp_path: Path) -> None:
        archive = self.archiver(tmp_path)
        assert mar.rewrite(archive, tmp_path / "out.mar") == build(tmp_path / "ours.mar")
        assert mar.inspect(archive).sha256 != mar.sha256_of(tmp_path / "out.mar")

    def test_stored_archive_of_the_archiver_does_too(self, tmp_path: Path) -> None:
        archive = self.archiver(tmp_path, "--archive-format", "zip-store", "--runtime", "python3")
        assert mar.rewrite(archive, tmp_path / "out.mar") == build(tmp_path / "ours.mar")

    def test_requirements_of_the_archiver_are_kept_as_a_file_that_nothing_installs(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "requirements.txt").write_text("requests\n")
        archive = self.archiver(tmp_path, "--requirements-file", str(tmp_path / "requirements.txt"))
        info = mar.inspect(archive)
        assert "requirements.txt" in info.files
        assert "requirementsFile" not in info.manifest["model"]

    def test_torchserve_unpacks_ours_as_we_do(self, tmp_path: Path) -> None:
        build(tmp_path / "digits.mar", FILES | {"folder/more.txt": b"more"})
        mar.unpack(tmp_path / "digits.mar", tmp_path / "ours")
        java("-unpack", tmp_path / "digits.mar", tmp_path / "theirs")
        assert _content(tmp_path / "theirs") == _content(tmp_path / "ours")

    def test_java_sees_exactly_our_files(self, tmp_path: Path) -> None:
        info = build(tmp_path / "digits.mar")
        assert tuple(java_sees([tmp_path / "digits.mar"])[tmp_path / "digits.mar"]) == info.files


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
