"""A model archive, TorchServe's `.mar`: builds, checks, rewrites, unpacks hashes; never runs what it holds.

The metadata API rewrites every upload with it, the serving front unpacks with it, the trainer builds with it.
Imports neither torch nor numpy. `zip_reader` knows what a zip may look like, `zip_names` what its files may be
called, `manifest` what a manifest is, `content` what the files say.

Rejections raise MarError. Its `code` is one of
    of the zip       not_a_zip truncated zip_layout zip64 encrypted compression damaged
    of its files     bad_name not_a_file duplicate_name too_many_files too_large file_too_large ratio bytecode
    of the manifest  manifest_missing bad_manifest bad_runtime bad_handler file_missing
                     requirements config envelope dead_library
    of its records   bad_model_spec bad_golden bad_training
"""

import hashlib
import json
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from serving_runtime.archive import model_config, zip_names, zip_reader
from serving_runtime.archive.content import Content, read_content
from serving_runtime.archive.errors import MarError
from serving_runtime.archive.interface import Interface
from serving_runtime.archive.manifest import MANIFEST, canonical
from serving_runtime.archive.model_config import ModelConfig
from serving_runtime.archive.model_spec import ModelSpec
from serving_runtime.archive.stock_handlers import StockHandler

__all__ = ["MarError", "MarInfo", "build", "inspect", "rewrite", "sha256_of", "unpack"]


@dataclass(frozen=True)
class MarInfo:
    """What an archive holds. `files` are in the archive's canonical order, the manifest first.

    model spec, golden and training are None if the archive has no model.yaml, golden.json, training.json.
    """

    sha256: str
    size: int
    name: str
    handler: str
    files: tuple[str, ...]
    spec: ModelSpec | None
    golden: dict[str, Any] | None
    training: dict[str, Any] | None
    manifest: dict[str, Any]
    config: ModelConfig | None
    """What the manifest's configFile says."""
    interface: Interface
    """What the model takes and gives, by its model spec or by what else tells it."""
    stock: StockHandler | None
    """Which of TorchServe's handlers it names or derives from, where there is no model spec."""


def build(
    output: Path,
    *,
    name: str,
    handler: str,
    serialized_file: str | None,
    files: Mapping[str, bytes | Path],
    config_file: str | None = None,
) -> MarInfo:
    """Pack `files` (name in the archive -> its bytes, or the file to read) as a canonical archive.

    `handler`, `serialized_file` and `config_file` name entries of `files`. Same arguments, same bytes. Written beside
    `output` and renamed, so `output` is whole or not there. Raises MarError, OSError.
    """
    model = {
        "modelName": name,
        "handler": handler,
        "serializedFile": serialized_file,
        "configFile": config_file,
    }
    zip_names.check_new_names(files)
    manifest = canonical({"runtime": "python", "model": model}, set(files))
    parts = ((key, *_source(files[key])) for key in sorted(files))
    descriptor, temporary = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    try:
        with os.fdopen(descriptor, "wb") as target:
            _write_zip(target, _with_manifest(manifest, parts))
        info = inspect(Path(temporary))
        os.chmod(temporary, 0o644)
        os.replace(temporary, output)
    except BaseException:
        os.unlink(temporary)
        raise
    return info


def inspect(path: Path) -> MarInfo:
    """Check a whole archive, every byte of it, and say what it holds. Raises MarError, OSError."""
    with path.open("rb") as file:
        content = read_content(file)
        for entry in content.entries.values():
            for _ in zip_reader.chunks(file, entry):
                pass
        return _info(content, file)


def rewrite(source: Path, destination: Path) -> MarInfo:
    """Check `source` and write the same content to `destination` in canonical form.

    No byte of the old container is passed on. Rewriting the result again gives the same bytes.
    Raises MarError, OSError; then there is no `destination`.
    """
    with source.open("rb") as file:
        content = read_content(file)
        try:
            with destination.open("wb") as target:
                _write_zip(target, _with_manifest(content.manifest, _parts(file, content)))
        except BaseException:
            destination.unlink(missing_ok=True)
            raise
    with destination.open("rb") as file:
        return _info(content, file)


def unpack(path: Path, directory: Path) -> MarInfo:
    """Check an archive and write its files, mode 0644, into the new or empty `directory`.

    Raises MarError and OSError; then `directory` is gone.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise FileExistsError(f"{directory} is not empty")
    try:
        with path.open("rb") as file:
            content = read_content(file)
            for name, _, parts in _with_manifest(content.manifest, _parts(file, content)):
                target = directory / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as out:
                    out.writelines(parts)
            return _info(content, file)
    except BaseException:
        shutil.rmtree(directory)
        raise


def read_config(directory: Path, manifest: dict[str, Any]) -> ModelConfig:
    """What the configuration file of an unpacked archive says, if it has one."""
    name = manifest["model"].get("configFile")
    return ModelConfig() if name is None else model_config.parse((directory / name).read_bytes())


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _info(content: Content, file: BufferedReader) -> MarInfo:
    file.seek(0)
    return MarInfo(
        sha256=hashlib.file_digest(file, "sha256").hexdigest(),
        size=file.seek(0, os.SEEK_END),
        name=content.manifest["model"]["modelName"],
        handler=content.manifest["model"]["handler"],
        files=(MANIFEST, *sorted(content.entries)),
        spec=content.spec,
        golden=content.golden,
        training=content.training,
        manifest=content.manifest,
        config=content.config,
        interface=content.interface,
        stock=content.stock,
    )


_Part = tuple[str, int, Iterable[bytes]]


def _with_manifest(manifest: dict[str, Any], parts: Iterable[_Part]) -> Iterator[_Part]:
    text = (json.dumps(manifest, indent=2, ensure_ascii=True) + "\n").encode()
    yield MANIFEST, len(text), [text]
    yield from parts


def _parts(file: BufferedReader, content: Content) -> Iterator[_Part]:
    for name in sorted(content.entries):
        entry = content.entries[name]
        yield name, entry.size, zip_reader.chunks(file, entry)


def _write_zip(target: BinaryIO, files: Iterable[_Part]) -> None:
    """Write (name, size, chunks) in the order given: stored, dated 1980-01-01, mode 0644.

    Same input, same bytes. Nothing is compressed: weights hardly shrink, and every zlib packs differently.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name, size, parts in files:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.file_size = size
            with archive.open(info, "w") as out:
                for part in parts:
                    out.write(part)


def _source(source: bytes | Path) -> tuple[int, Iterable[bytes]]:
    body = source if isinstance(source, bytes) else source.read_bytes()
    return len(body), [body]
