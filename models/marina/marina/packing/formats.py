"""Which format a model file has, told by its bytes and not by its name; and what is safe to do instead of a pickle."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

from marina.errors import WrongUse

SAFE = (
    "save it as TorchScript (torch.jit.script(model).save('model.pt')), by torch.export.save, "
    "as weights (safetensors.torch.save_file(model.state_dict(), 'model.safetensors')) with --network, "
    "or a model of scikit-learn by skops.io.dump(model, 'model.skops')"
)
PICKLE_NAMES = {".pkl", ".pickle", ".joblib", ".dill"}
ONNX_HEAD = b"\x08"  # its first field, the version of its format
MAX_HEADER_BYTES = 100 * 1024 * 1024


@dataclass(frozen=True)
class ModelFile:
    """A model file: its format, and the name that it gets in the archive.

    The format is torchscript, export, state_dict (safetensors), weights (of torch.save, to be
    rewritten), skops or onnx.
    """

    path: Path
    form: str
    name: str

    @property
    def needs_network(self) -> bool:
        """Whether it has weights only."""
        return self.form in ("state_dict", "weights")

    @property
    def environment(self) -> str | None:
        """The environment that its code needs; None for the usual one."""
        return "sklearn" if self.form in ("skops", "onnx") else None


def recognise(path: Path) -> ModelFile:
    """The format of a file. Raises WrongUse for one that cannot be packed, with what to do."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
        entries = _entries(path) if head[:2] == b"PK" else frozenset()
    except OSError as error:
        raise WrongUse(f"{path} cannot be read: {error.strerror}") from error
    if path.suffix.lower() in PICKLE_NAMES or (head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05"):
        if path.suffix.lower() not in (".pt", ".pth", ".bin"):
            raise WrongUse(f"{path} is a pickle, which runs code when it is read: {SAFE}")
        return ModelFile(path, "weights", "weights.safetensors")
    if entries:
        return ModelFile(path, *_of_zip(path, entries))
    if 2 <= int.from_bytes(head[:8], "little") <= MAX_HEADER_BYTES and head[8:9] == b"{":
        return ModelFile(path, "state_dict", "weights.safetensors")
    if path.suffix.lower() == ".onnx" and head[:1] == ONNX_HEAD:
        return ModelFile(path, "onnx", "model.onnx")
    raise WrongUse(f"{path} is no model file that is known here: {SAFE}")


def _entries(path: Path) -> frozenset[str]:
    """Names in a zip file, without the folder that PyTorch puts them in."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError) as error:
        raise WrongUse(f"{path} is a damaged zip file: save the model again") from error
    return frozenset({*names, *(name.partition("/")[2] for name in names)})


def _of_zip(path: Path, entries: frozenset[str]) -> tuple[str, str]:
    if "constants.pkl" in entries and any(name.startswith("code/") for name in entries):
        return "torchscript", "model.pt"
    if "archive_format" in entries or "serialized_exported_program.json" in entries:
        return "export", "model.pt2"
    if "schema.json" in entries:
        return "skops", "model.skops"
    if "data.pkl" in entries:
        return "weights", "weights.safetensors"
    if "MAR-INF/MANIFEST.json" in entries:
        raise WrongUse(f"{path} is an archive already: marina push {path}")
    raise WrongUse(f"{path} is a zip file without a model: {SAFE}")
