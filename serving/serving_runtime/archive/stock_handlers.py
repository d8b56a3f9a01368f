"""What is known of TorchServe's own handlers, and of a class that derives from one, without running any code.

The kinds are those of `model.yaml`: what an archive without one takes as its input `data` and gives as `result`.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from serving_runtime.archive import syntax
from serving_runtime.archive.errors import MarError

_TORCHVISION = ("torchvision", "captum")
_LIBRARY = "ts.torch_handler"


@dataclass(frozen=True)
class StockHandler:
    """One of TorchServe's handlers, or a class of an archive that derives from it."""

    class_name: str
    needs: tuple[str, ...] = ()
    """Packages that its module imports, beside PyTorch and `ts` itself."""
    input_kind: str = "raw"
    output_kind: str = "raw"
    is_text: bool = False
    """Whether it reads a vocabulary."""
    loads_model: bool = True
    """Whether the model is loaded as BaseHandler does it; not by a class with an `initialize` of its own."""


STOCK = {
    "base_handler": StockHandler("BaseHandler"),
    "vision_handler": StockHandler("VisionHandler", _TORCHVISION[1:], "image"),
    "image_classifier": StockHandler("ImageClassifier", _TORCHVISION, "image", "probabilities"),
    "image_segmenter": StockHandler("ImageSegmenter", _TORCHVISION, "image"),
    "object_detector": StockHandler("ObjectDetector", _TORCHVISION, "image", "boxes"),
    "text_handler": StockHandler("TextHandler", ("captum",), "text", is_text=True),
    "text_classifier": StockHandler("TextClassifier", ("captum",), "text", "probabilities", is_text=True),
}
"""By the name of the handler's module."""
VOCABULARY = "source_vocab.pt"
"""What a text handler translates words with: a pickle by torch.save."""
_TORCHTEXT = b"ctorchtext."  # how a pickle names a class of it
_BY_CLASS = {handler.class_name: handler for handler in STOCK.values()}


def of(handler: str, source: bytes | None) -> StockHandler | None:
    """What is known of the manifest's `handler`; `source` is its file, None where the archive has none.

    A class that overrides `preprocess`, `postprocess` or `handle` takes or gives what only its author knows: raw.
    """
    if source is None:
        return STOCK.get(handler)
    tree = syntax.parsed(source)
    if tree is None:
        return None
    names = dict(_imported(tree))
    found = [known for node in tree.body if isinstance(node, ast.ClassDef) for known in _derived(node, names)]
    return found[0] if len(found) == 1 else None


def check_vocabulary(chunks: Iterable[bytes]) -> None:
    """Reject a vocabulary that cannot be loaded any more. Raises MarError."""
    before = b""
    for chunk in chunks:
        if _TORCHTEXT in before + chunk:
            raise MarError(
                "dead_library",
                f"{VOCABULARY} holds a vocabulary of torchtext, which was given up in 2024 and does not work with the "
                f"PyTorch here. Save it as plain numbers, torch.save(collections.Counter(vocabulary.get_stoi()), "
                f"{VOCABULARY!r}), and pack again; or pack a handler of your own.",
            )
        before = chunk[-len(_TORCHTEXT) :]


def _imported(tree: ast.Module) -> Iterator[tuple[str, StockHandler]]:
    """Local name -> handler, for what the module imports from TorchServe."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_LIBRARY):
            for alias in node.names:
                if alias.name in _BY_CLASS:
                    yield alias.asname or alias.name, _BY_CLASS[alias.name]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                known = STOCK.get(alias.name.removeprefix(f"{_LIBRARY}."))
                if known is not None and alias.name.startswith(_LIBRARY):
                    yield f"{alias.asname or alias.name}.{known.class_name}", known
        # `from ts.torch_handler import image_classifier` names the module
        if isinstance(node, ast.ImportFrom) and node.module == _LIBRARY:
            for alias in node.names:
                if alias.name in STOCK:
                    known = STOCK[alias.name]
                    yield f"{alias.asname or alias.name}.{known.class_name}", known


def _derived(node: ast.ClassDef, names: dict[str, StockHandler]) -> Iterable[StockHandler]:
    known = next((names[text] for text in map(syntax.dotted, node.bases) if text in names), None)
    if known is None:
        return ()
    own = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
    return (
        replace(
            known,
            input_kind="raw" if own & {"preprocess", "handle"} else known.input_kind,
            output_kind="raw" if own & {"postprocess", "handle"} else known.output_kind,
            loads_model=not own & {"initialize", "_load_pickled_model", "_load_torchscript_model"}
            or any(map(_initializes_base, ast.walk(node))),
        ),
    )


def _initializes_base(node: ast.AST) -> bool:
    """Whether it is `super().initialize`."""
    if (
        not isinstance(node, ast.Attribute)
        or node.attr != "initialize"
        or not isinstance(node.value, ast.Call)
    ):
        return False
    return isinstance(node.value.func, ast.Name) and node.value.func.id == "super"
