"""Which format a model file has, told by its bytes and not by its name; and what is safe to do instead of a pickle."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

from marina.errors import WrongUse
from serving_runtime.archive import weights

TORCH_SAFE = (
    "save it as TorchScript (torch.jit.script(model).save('model.pt')), by torch.export.save, "
    "or as weights (safetensors.torch.save_file(model.state_dict(), 'model.safetensors')) with --network"
)
SKLEARN_SAFE = "save a model of scikit-learn where it was trained, by skops.io.dump(model, 'model.skops')"
SAFE = f"{SKLEARN_SAFE}; of PyTorch {TORCH_SAFE}"
PICKLE_NAMES = {".pkl", ".pickle", ".joblib", ".dill"}
TORCH_NAMES = (".pt", ".pth", ".bin")
ONNX_HEAD = b"\x08"  # its first field, the version of its format
MAX_HEADER_BYTES = 100 * 1024 * 1024


@dataclass(frozen=True)
class ModelFile:
    """A model file: its format, and the name that it gets in the archive.

    The format is torchscript, export, state_dict (safetensors), weights (of torch.save, to be
    rewritten), skops or onnx. `classes` are what weights of torch.save pickle beside tensors.
    """

    path: Path
    form: str
    name: str
    classes: tuple[str, ...] = ()

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
        suffix = path.suffix.lower()
        if suffix not in TORCH_NAMES:
            safe = f"{SKLEARN_SAFE}, and pack that" if suffix == ".joblib" else SAFE
            raise WrongUse(f"{path} is a pickle, which runs code when it is read: {safe}")
        return _weights(path)
    if entries:
        form, name = _of_zip(path, entries)
        return _weights(path) if form == "weights" else ModelFile(path, form, name)
    if 2 <= int.from_bytes(head[:8], "little") <= MAX_HEADER_BYTES and head[8:9] == b"{":
        return ModelFile(path, "state_dict", "weights.safetensors")
    if path.suffix.lower() == ".onnx" and head[:1] == ONNX_HEAD:
        return ModelFile(path, "onnx", "model.onnx")
    raise WrongUse(f"{path} is no model file that is known here: {SAFE}")


def pickled(path: Path, classes: tuple[str, ...]) -> WrongUse:
    """What is wrong with a file of torch.save that holds more than weights."""
    named = f" ({', '.join(classes[:3])})" if classes else ""
    return WrongUse(
        f"{path} is a whole model or other objects{named} pickled by torch.save, which run code when they are read: "
        f"{TORCH_SAFE}"
    )


def _weights(path: Path) -> ModelFile:
    with path.open("rb") as file:
        found = weights.read(file, path.name)
    return ModelFile(path, "weights", "weights.safetensors", found.names)


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
