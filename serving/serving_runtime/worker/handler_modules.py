"""Imports the module of an archive's handler, whatever file it is, and says what to do when that cannot be."""

import ast
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from serving_runtime.archive import syntax
from serving_runtime.archive.manifest import TORCHSERVE_HANDLERS


def load(directory: Path, name: str) -> ModuleType:
    """The module of the handler `name`: a file of the archive in `directory`, else one of TorchServe's own.

    Raises whatever the module raises, and ModuleNotFoundError with what to do.
    """
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))
    stem = name.removesuffix(".py")
    try:
        path = directory / f"{stem}.py"
        if path.is_file():
            return _from_file(path)
        return importlib.import_module(f"ts.torch_handler.{stem}")
    except ModuleNotFoundError as error:
        raise _explained(error, stem) from error


def reject_streaming(directory: Path) -> None:
    """Raise LookupError when an imported file of the archive uses what TorchServe streams answers with."""
    for module in tuple(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py") or directory.name not in file:
            continue  # without a path for each of a thousand modules, which would take 10 ms
        if Path(file).is_relative_to(directory):
            source = Path(file).read_bytes()
            if syntax.STREAMING.encode() in source and syntax.streams(ast.parse(source)):
                raise LookupError(
                    f"{Path(file).name} uses {syntax.STREAMING}, but streamed answers are not offered: "
                    "one request gets one response; return the whole answer"
                )


def _from_file(path: Path) -> ModuleType:
    """By its path, because its name may be none that `import` takes, or that of another module."""
    name = path.stem
    if name in sys.modules or name in sys.stdlib_module_names:
        name = f"handler {name}"  # no import statement can mean it
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _explained(error: ModuleNotFoundError, handler: str) -> ModuleNotFoundError:
    """The same error with what to do."""
    missing = (error.name or "").partition(".")[0]
    if missing == "ts":
        text = (
            "the handler needs TorchServe's Python package, which is not installed here: "
            "deploy it with runtime torchserve, or use an image that has the package torchserve"
        )
    elif handler in TORCHSERVE_HANDLERS:
        text = (
            f"TorchServe's handler {handler} needs the package {missing}, which its environment does not have: "
            "serve it in one that has it, or pack a handler of your own"
        )
    else:
        text = (
            f"{error}: pack the module with the handler (--extra-files), "
            "or serve it in an environment that has the package"
        )
    return ModuleNotFoundError(text, name=error.name)
