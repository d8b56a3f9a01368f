"""The checked content of an open archive: its manifest, its records, and what its handler is. Called by `mar`."""

from dataclasses import dataclass
from io import BufferedReader
from typing import Any

from serving_runtime.archive import interface, model_config, records, stock_handlers, zip_reader
from serving_runtime.archive.errors import MarError
from serving_runtime.archive.interface import Interface
from serving_runtime.archive.manifest import MANIFEST, canonical, file_of
from serving_runtime.archive.model_config import ModelConfig, ModelConfigError
from serving_runtime.archive.model_spec import MAX_BYTES, ModelSpec, ModelSpecError, parse
from serving_runtime.archive.stock_handlers import StockHandler

_MANIFEST_BYTES = 1024**2
_INDEX = "index_to_name.json"
_INDEX_BYTES = _HANDLER_BYTES = 256 * 1024
_RECORD_BYTES = {"golden.json": 16 * 1024**2, "training.json": 64 * 1024**2}


@dataclass(frozen=True)
class Content:
    """The checked content of an open archive: canonical manifest, records, and where the files are."""

    manifest: dict[str, Any]
    spec: ModelSpec | None
    golden: dict[str, Any] | None
    training: dict[str, Any] | None
    entries: dict[str, zip_reader.Entry]
    config: ModelConfig | None
    interface: Interface
    stock: StockHandler | None


def read_content(file: BufferedReader) -> Content:
    """Read what an archive says of itself. Raises MarError, OSError."""
    entries = zip_reader.open_zip(file)
    if MANIFEST not in entries:
        raise MarError("manifest_missing", f"The zip has no {MANIFEST}. Pack it with torch-model-archiver.")
    manifest = records.read_json(file, entries[MANIFEST], _MANIFEST_BYTES, "bad_manifest")
    del entries[MANIFEST]
    found = {
        name: records.read_json(file, entries[name], limit, f"bad_{name.removesuffix('.json')}")
        for name, limit in _RECORD_BYTES.items()
        if name in entries
    }
    golden, training = found.get("golden.json"), found.get("training.json")
    records.check_golden(golden)
    records.check_training(training)
    kept = canonical(manifest, set(entries))
    config = _config(file, entries, kept["model"].get("configFile"))
    spec = _spec(file, entries)
    stock = _stock(file, entries, kept["model"]["handler"]) if spec is None else None
    taken = interface.of_archive(spec, stock, golden, _labels(file, entries) if spec is None else ())
    return Content(kept, spec, golden, training, entries, config, taken, stock)


def _spec(file: BufferedReader, entries: dict[str, zip_reader.Entry]) -> ModelSpec | None:
    if "model.yaml" not in entries:
        return None
    try:
        return parse(zip_reader.read(file, entries["model.yaml"], zip_reader.CHUNK_BYTES))
    except ModelSpecError as error:
        raise MarError("bad_model_spec", f"model.yaml: {error}.") from None


def _stock(file: BufferedReader, entries: dict[str, zip_reader.Entry], handler: str) -> StockHandler | None:
    """What is known of the handler; its file is read, not run."""
    entry = entries.get(file_of(handler))
    if entry is not None and entry.size > _HANDLER_BYTES:
        return None
    stock = stock_handlers.of(handler, zip_reader.read(file, entry, _HANDLER_BYTES) if entry else None)
    vocabulary = entries.get(stock_handlers.VOCABULARY)
    if stock is not None and stock.is_text and vocabulary is not None:
        stock_handlers.check_vocabulary(zip_reader.chunks(file, vocabulary))
    return stock


def _labels(file: BufferedReader, entries: dict[str, zip_reader.Entry]) -> tuple[str, ...]:
    """What TorchServe's file of class names says; it is not ours to reject an archive for it."""
    if _INDEX not in entries:
        return ()
    try:
        return interface.labels_of_index(records.read_json(file, entries[_INDEX], _INDEX_BYTES, "bad_index"))
    except MarError:
        return ()


def _config(
    file: BufferedReader, entries: dict[str, zip_reader.Entry], name: str | None
) -> ModelConfig | None:
    if name is None:
        return None
    try:
        return model_config.parse(zip_reader.read(file, entries[name], MAX_BYTES))
    except ModelConfigError as error:
        raise MarError("config", f"{name}: {error}.") from None
