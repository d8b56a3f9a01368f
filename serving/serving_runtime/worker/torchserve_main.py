"""The handler that TorchServe loads: it unpacks a batch of ours, asks the archive's own handler, packs the answers.

TorchServe imports this by the name in the manifest and wants exactly one class in the module. One call of TorchServe
carries one frame, which carries a whole batch.
"""

import importlib
import logging
from pathlib import Path
from typing import Any

from serving_runtime.archive.manifest import ARCHIVE_MODEL
from serving_runtime.worker import batches, handlers, output


class TorchServeWorker:
    """State: the handler adapter, or why it could not be loaded (told with every answer)."""

    def __init__(self) -> None:
        self._model: handlers.HandlerAdapter | None = None
        self._load_error = "not loaded"

    def initialize(self, context: Any) -> None:
        """Load the archive's handler. Never raises: TorchServe would retry for ever without a reason."""
        output.take_over()
        _quiet_torchserve()
        try:
            directory = Path(context.system_properties["model_dir"]).resolve()
            manifest = {**context.manifest, "model": context.manifest["model"][ARCHIVE_MODEL]}
        except KeyError as error:
            self._load_error = batches.reason(error)
        else:
            self._model, self._load_error = batches.load(directory, manifest)

    def handle(self, data: list[dict[str, Any]], _context: Any) -> list[bytes]:
        """Answer each frame (TorchServe is told to send one at a time)."""
        return [self._frame(row.get("body") or row.get("data") or b"") for row in data]

    def _frame(self, frame: bytes) -> bytes:
        if self._model is None:
            return b"".join(batches.rejection(self._load_error))
        return b"".join(batches.run_batch(self._model, frame))


def _quiet_torchserve() -> None:
    """TorchServe would log a line for every call, and a line for every metric."""
    own = logging.getLogger("ts")
    own.setLevel(logging.WARNING)
    vars(importlib.import_module("ts.protocol.otf_message_handler"))["logging"] = own
