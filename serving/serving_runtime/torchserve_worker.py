"""The handler that TorchServe loads: it unpacks a batch of ours, asks the archive's own handler, packs the answers.

TorchServe imports this by the name in the manifest and wants exactly one class in the module. One call of TorchServe
carries one frame, which carries a whole batch.
"""

import logging
from pathlib import Path
from typing import Any

from serving_runtime import frames, hosting
from serving_runtime.tensors import Tensor

ORIGINAL_HANDLER = "archiveHandler"  # where the front keeps the archive's own handler in the manifest
HAS_CARD = "archiveHasCard"
_LONGEST_REASON = 1000


class TorchServeWorker:
    """State: the hosted model, or why it could not be loaded (told with every answer)."""

    def __init__(self) -> None:
        self._model: hosting.HostedModel | None = None
        self._load_error = "not loaded"

    def initialize(self, context: Any) -> None:
        """Load the archive's handler. Never raises: TorchServe would try for ever and tell nobody why."""
        try:
            entry = context.manifest["model"]
            handler = entry["handler"] = entry.pop(ORIGINAL_HANDLER)
            directory = Path(context.system_properties["model_dir"]).resolve()
            self._model = hosting.load(directory, handler, context, has_card=entry.pop(HAS_CARD))
        except (Exception, SystemExit) as error:
            self._load_error = _reason(error)
        # From here on TorchServe writes a line for every call, which Java reads and throws away.
        logging.getLogger().setLevel(logging.WARNING)

    def handle(self, data: list[dict[str, Any]], _context: Any) -> list[bytes]:
        """Answer each frame (TorchServe is told to send one at a time)."""
        return [self._frame(row.get("body") or row.get("data") or b"") for row in data]

    def _frame(self, frame: bytes) -> bytes:
        if self._model is None:
            return b"".join(frames.encode({"load_error": self._load_error}, []))
        header, inputs = frames.decode(frame)
        outputs, errors = _answers(self._model, header["rows"], inputs, bool(header.get("seen")))
        return b"".join(frames.encode({"errors": errors}, outputs))


def _answers(
    model: hosting.HostedModel, rows: list[int], inputs: list[Tensor], seen: bool
) -> tuple[list[Tensor], dict[str, dict[str, str]]]:
    """The outputs of all requests that could be answered, joined, and the errors of the others by index.

    A batch that fails is asked again one request at a time, so that a bad one never fails its mates.
    """
    try:
        return model.answer(inputs, seen), {}
    except Exception as error:
        if len(rows) == 1:
            return [], {"0": _described(error)}
    answered: list[list[Tensor]] = []
    errors: dict[str, dict[str, str]] = {}
    for index, piece in enumerate(frames.split_requests(inputs, rows)):
        try:
            answered.append(model.answer(piece, seen))
        except Exception as error:
            errors[str(index)] = _described(error)
    return frames.join_requests(answered), errors


def _described(error: Exception) -> dict[str, str]:
    # By convention of the handlers, ValueError says that the request's data are bad.
    return {"kind": "input" if isinstance(error, ValueError) else "model", "text": _reason(error)}


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()) or "no message"
    if isinstance(error, ValueError) and not isinstance(error, UnicodeError):
        return text[:_LONGEST_REASON]
    return f"{type(error).__name__}: {text}"[:_LONGEST_REASON]
