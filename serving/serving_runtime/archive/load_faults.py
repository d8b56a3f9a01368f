"""What would keep an accepted archive from being loaded, and what it does otherwise than under TorchServe.

Told from the syntax tree of its handler, its manifest and the form of its weights, before anything of it runs.
"""

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

from serving_runtime.archive import syntax
from serving_runtime.archive.mar import MarInfo
from serving_runtime.archive.weights import Weights


def of_code(code: ast.Module | None, info: MarInfo) -> str | None:
    """What is wrong with the handler's file."""
    if code is None:
        return None
    if syntax.streams(code):
        return f"the handler uses {syntax.STREAMING}, but streamed answers are not offered: return the whole answer"
    function = info.handler.partition(":")[2] or "handle"
    bound = {name: node for node in code.body for name in _bound(node)}
    classes = [node for node in code.body if isinstance(node, ast.ClassDef)]
    entry: object = bound.get(function)
    if entry is None and ":" in info.handler:
        return f"the handler has no function {function}: name one that it has, FILE.py:FUNCTION"
    if entry is None and len(classes) != 1:
        return f"the handler defines {len(classes)} classes: leave one in its file, and import the others"
    if entry is None:
        methods = {name: node for node in classes[0].body for name in _bound(node)}
        entry = methods.get("predict" if info.spec is not None else "handle")
    if isinstance(entry, ast.AsyncFunctionDef):
        return f"{entry.name} is `async def`, which handlers cannot be: write `def`"
    return None


def of_weights(found: Weights | None, info: MarInfo) -> str | None:
    """What keeps BaseHandler from loading the serialized file; None when it can."""
    model = info.manifest["model"]
    name, network = model.get("serializedFile"), model.get("modelFile")
    if found is None:
        return None if network else "it has no weights: pack again with --serialized-file"
    if network:
        return _of_state(found, name)
    suffix = PurePosixPath(name).suffix
    if suffix == ".pt" and found.form != "torchscript":
        said = "a state_dict" if found.form == "state_dict" else f"{found.form}, not TorchScript"
        return (
            f"{name} is {said}: pack again with the network as --model-file, or save torch.jit.script(model)"
        )
    if suffix == ".pt2" and found.form != "exported":
        return (
            f"{name} is not what torch.export.save writes: save it so, without compiling it for one machine"
        )
    if suffix == ".onnx":
        return None
    if suffix not in (".pt", ".pt2"):
        return (
            f"TorchServe's handlers do not load {suffix or 'a file without suffix'} without a network: pack "
            "again with --model-file, or save TorchScript as .pt"
        )
    return None


def differences(code: ast.Module | None, info: MarInfo) -> Iterator[str]:
    """One text for each thing that is otherwise than under TorchServe."""
    model = info.manifest["model"]
    if info.config is not None:
        yield from info.config.not_honoured
    if "requirements.txt" in info.files:
        yield "requirements.txt is not installed at the start: the environment has its packages"
    if model.get("serializedFile", "").endswith(".pt2"):
        yield "not in the image marina-serving-native: it leaves out the half of PyTorch that loads .pt2"
    if code is not None and any(map(_loads_unsafely, ast.walk(code))):
        yield "torch.load: PyTorch takes only tensors since 2.6; a pickled object needs weights_only=False"
    kinds = [tensor.kind for tensor in (*info.interface.inputs, *info.interface.outputs)]
    if "raw" in kinds:
        yield "a model.yaml beside the handler says what it takes and gives; until then that is raw"


def _of_state(found: Weights, name: str) -> str | None:
    if found.form == "pickle":
        return (
            f"{name} pickles {', '.join(found.names[:3])}, which PyTorch does not load any more unasked: save "
            "model.state_dict() and pack again"
        )
    if found.form == "torchscript":
        return f"{name} is TorchScript: leave --model-file out, or save model.state_dict()"
    return None


def _bound(node: ast.stmt) -> Iterator[str]:
    """The names that a statement at the top binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _loads_unsafely(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and syntax.dotted(node.func) == "torch.load"
        and all(keyword.arg != "weights_only" for keyword in node.keywords)
    )
