"""What a file of weights is, read without PyTorch and without running any of it.

PyTorch loads only plain tensors from a pickle here (`weights_only`): a pickled model names classes, and a pickle runs
what it names. So what a file names is read from the opcodes of its pickle.
"""

import io
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

_LARGEST_PICKLE = 64 * 1024**2
_PICKLES = 4  # before the zip a file was as many in a row, with the content in the last
# What torch.load takes without being told: modules, and single names of others.
_PLAIN_MODULES = ("torch", "torch._utils", "torch._tensor", "torch.nn.parameter", "torch.serialization")
_PLAIN_TYPES = ("set", "bytearray", "complex", "int", "float", "str", "bool")
_PLAIN_NAMES = frozenset(
    {
        *(("collections", name) for name in ("OrderedDict", "Counter", "defaultdict")),
        *((module, name) for module in ("builtins", "__builtin__") for name in _PLAIN_TYPES),
        ("_codecs", "encode"),
    }
)


@dataclass(frozen=True)
class Weights:
    """`form` is torchscript, exported, compiled, state_dict, pickle, safetensors, onnx or unknown.

    A `pickle` names the classes in `names`, which are not loaded.
    """

    form: str
    names: tuple[str, ...] = ()


def read(file: IO[bytes], name: str) -> Weights:
    """What the seekable `file` called `name` is."""
    suffix = PurePosixPath(name).suffix
    try:
        with zipfile.ZipFile(file) as archive:
            return _of_zip(archive)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError):
        pass
    except (struct.error, zlib.error, KeyError):  # of a damaged zip, which zipfile passes on
        pass
    if suffix in (".safetensors", ".onnx"):
        return Weights(suffix.removeprefix("."))
    file.seek(0)
    start = file.read(_LARGEST_PICKLE)
    if start[:1] == b"\x80":  # a pickle of before the zip, several in a row
        return _of_pickle(start)
    return Weights("compiled" if start[:4] == b"\x7fELF" else "unknown")


def _of_zip(archive: zipfile.ZipFile) -> Weights:
    inside = {name.partition("/")[2]: name for name in archive.namelist()}
    if any(name.endswith((".so", ".cpp", ".o")) for name in inside):
        return Weights("compiled")
    if (
        any(name.startswith("models/") for name in inside)
        or "serialized_exported_program.json" in archive.namelist()
    ):
        return Weights("exported")
    if "constants.pkl" in inside:
        return Weights("torchscript")
    if "data.pkl" not in inside:
        return Weights("unknown")
    with archive.open(inside["data.pkl"]) as pickle:
        return _of_pickle(pickle.read(_LARGEST_PICKLE))


def _of_pickle(text: bytes) -> Weights:
    named = sorted({f"{module}.{name}" for module, name in _named(text) if not _is_plain(module, name)})
    return Weights("pickle", tuple(named)) if named else Weights("state_dict")


def _is_plain(module: str, name: str) -> bool:
    return module in _PLAIN_MODULES or (module, name) in _PLAIN_NAMES or module.startswith("numpy")


def _named(text: bytes) -> Iterator[tuple[str, str]]:
    """The classes and functions that the pickles name, up to where they cannot be read."""
    stream = io.BytesIO(text)
    texts: list[str] = []
    try:
        for _ in range(_PICKLES):
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name == "GLOBAL":
                    module, _, name = str(argument).partition(" ")
                    yield module, name
                elif opcode.name == "STACK_GLOBAL" and len(texts) >= 2:
                    yield texts[-2], texts[-1]
                elif isinstance(argument, str):
                    texts.append(argument)
    except ValueError:
        return
