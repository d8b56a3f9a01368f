"""What TorchServe's own handlers need beside a context, to do for the rows of v2 what they do for TorchServe's.

They are those of the package `ts`, unchanged; the classes that archives derive from them are treated alike.
"""

import copy
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from serving_runtime.worker.context import Context

_LIBRARY = "ts.torch_handler."
_BASE = f"{_LIBRARY}base_handler"
_ONE_ROW = "TextClassifier"  # answers the first row of a call only
_UNREADABLE = "the image is not readable: send a whole file, such as a PNG or JPEG"


def prepare(instance: Any, context: Context) -> None:
    """Before `initialize` of a handler's instance. Does nothing to one that has nothing of TorchServe's."""
    base = sys.modules.get(_BASE)
    if base is None or not isinstance(instance, base.BaseHandler):
        return
    if _exported(context.manifest["model"]):
        base.BaseHandler.initialize = _of_exported(base.BaseHandler.initialize)
    classes = type(instance).__mro__
    if any(each.__name__ == _ONE_ROW and _is_stock(each) for each in classes):
        context.most_rows = 1
    steps = next((each for each in classes if "image_processing" in vars(each)), None)
    if steps is not None and _is_stock(steps):
        instance.image_processing = functools.partial(_processed, instance.image_processing)


def unreadable_image(error: BaseException) -> str | None:
    """What to tell a client whose image Pillow cannot read, which is no ValueError; None for any other error."""
    pillow = sys.modules.get("PIL")
    unknown = pillow is not None and isinstance(error, pillow.UnidentifiedImageError)
    cut = isinstance(error, OSError) and str(error).startswith("image file is truncated")
    return _UNREADABLE if unknown or cut else None


def _is_stock(kind: type) -> bool:
    return kind.__module__.startswith(_LIBRARY)


def _processed(steps: Callable[[Any], Any], image: Any) -> Any:
    """TorchServe's own steps are for three channels; a grey image or one with transparency would fail in them."""
    return steps(image if image.mode == "RGB" else image.convert("RGB"))


def _exported(model: dict[str, Any]) -> str | None:
    name: str = model.get("serializedFile", "")
    return name if name.endswith(".pt2") and "modelFile" not in model else None


def _of_exported(initialize: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """BaseHandler.initialize, which knows TorchScript by `.pt`, for a model that torch.export has saved."""

    def initialized(self: Any, context: Context) -> None:
        name = _exported(context.manifest["model"])
        if name is None:
            return initialize(self, context)
        path = Path(context.system_properties["model_dir"]) / name
        renamed = copy.copy(context)
        renamed.manifest = {
            **context.manifest,
            "model": {**context.manifest["model"], "serializedFile": f"{name}.pt"},
        }
        self._load_torchscript_model = lambda _path: _load_exported(path)
        initialize(self, renamed)
        self.manifest, self.model_pt_path = context.manifest, str(path)

    return initialized


def _load_exported(path: Path) -> Any:
    import torch  # only here: whoever reads this module's names needs none of it

    program = torch.export.load(path).module()

    class Exported(torch.nn.Module):
        """An exported program always infers, but its own `eval` raises."""

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return program(*args, **kwargs)

    return Exported()
