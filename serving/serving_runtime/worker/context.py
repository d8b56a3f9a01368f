"""What a handler in TorchServe's style is given as `context`, in both runtimes alike.

Names and meanings are those of `ts.context.Context`. One object for each loaded model; what concerns a batch is set by
`begin` and read by `said`, and costs nothing as long as the handler does not look at it.
"""

import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from serving_runtime import __version__
from serving_runtime.archive import mar
from serving_runtime.archive.manifest import batch_size_of_deployment
from serving_runtime.protocol.handler_headers import Headers
from serving_runtime.worker.handler_metrics import HandlerMetrics

_STREAMING = "streamed answers are not offered: one request gets one response"
_UNSERVABLE = {
    "cl_socket": _STREAMING,
    "stopping_criteria": f"continuous batching is not offered; {_STREAMING}",
}


def of_archive(directory: Path, manifest: dict[str, Any]) -> "Context":
    """The context of an unpacked archive. Raises ModelConfigError, OSError."""
    config = mar.read_config(directory, manifest)
    rows = os.environ.get("SERVING_MAX_BATCH")
    asked = batch_size_of_deployment(directory) or config.batch_size
    return Context(directory, manifest, config.values, rows=asked or int(rows or 1), most_rows=asked)


class Unservable(AttributeError):
    """The handler wants what no runtime offers; the text says what."""


_ALL = slice(None)
_NOT_SENT = (
    "the ids and headers of requests are sent to a `predict` that takes the keyword-only argument `context`"
)


class Asked(NamedTuple):
    """One request of a batch, as far as a context tells of it: how many rows, the client's id and headers.

    Without headers, not even an empty mapping, nothing of it was sent to this handler.
    """

    rows: int
    id: str | None = None
    headers: Mapping[str, str] | None = None


class RowContext:
    """What TorchServe calls a request processor: the headers of one row's request, and what is said of its answer."""

    __slots__ = ("_code", "_given", "_phrase", "_returned")

    def __init__(self, headers: Mapping[str, str] | None) -> None:
        self._given = None if headers is None else Headers(headers)
        self._returned: dict[str, str] = {}
        self._code: Any = 200
        self._phrase: str | None = None

    def get_request_property(self, key: str) -> str | None:
        return self.get_request_properties().get(key)

    def get_request_properties(self) -> dict[str, str]:
        if self._given is None:
            raise LookupError(_NOT_SENT)
        return self._given

    def report_status(self, code: Any, reason_phrase: str | None = None) -> None:
        self._code, self._phrase = code, reason_phrase

    def get_response_status_code(self) -> Any:
        return self._code

    def get_response_status_phrase(self) -> str | None:
        return self._phrase

    def add_response_property(self, key: str, value: str) -> None:
        self._returned[key] = value

    def get_response_headers(self) -> dict[str, str]:
        return self._returned

    def get_response_header(self, key: str) -> str | None:
        return self._returned.get(key)


class Context:
    """The context of one loaded model. What no runtime has raises AttributeError with the reason."""

    header_key_sequence_id = "ts_request_sequence_id"
    header_key_sequence_start = "ts_request_sequence_start"
    header_key_sequence_end = "ts_request_sequence_end"

    def __init__(
        self,
        directory: Path,
        manifest: dict[str, Any],
        config: dict[str, Any] | None = None,
        *,
        rows: int = 1,
        most_rows: int | None = None,
    ) -> None:
        """`config` is what the archive's configuration file says, `rows` the most of concurrent requests in a call.

        `most_rows` in a call is what its deployment or archive asks for, if one does: it may be all that the handler
        can take.
        """
        self.most_rows = most_rows
        self.model_name: str = manifest["model"]["modelName"]
        self.manifest = manifest
        self.model_yaml_config: dict[str, Any] = config or {}
        self.metrics = HandlerMetrics(self.model_name)
        self.unservable: str | None = None
        """What the handler has asked for although no runtime offers it."""
        self.system_properties: dict[str, Any] = {
            "model_dir": str(directory),
            "gpu_id": None,
            "batch_size": rows,
            "server_name": "marina",
            "server_version": __version__,
            "limit_max_image_pixels": True,
        }
        self._asked: Sequence[Asked] = ()
        self._rows: list[RowContext] | None = None
        self._ids: list[str] | None = None
        self._shown = _ALL

    def begin(self, asked: Sequence[Asked]) -> None:
        """The next batch: nothing is known of its answers."""
        self._asked = asked
        self._rows = self._ids = None
        self._shown = _ALL

    def show(self, rows: slice) -> None:
        """Tell of these rows of the batch only, as they are all that the handler is given now."""
        self._shown = rows

    @property
    def touched(self) -> Sequence[RowContext]:
        """The rows of the batch if the handler has looked at any of them or said something, else none."""
        return self._rows or ()

    @property
    def request_processor(self) -> list[RowContext]:
        """The rows of the batch."""
        if self._rows is None:
            self._rows = [RowContext(one.headers) for one in self._asked for _ in range(one.rows)]
        return self._rows[self._shown]

    _request_processor = request_processor

    @property
    def request_ids(self) -> dict[int, str]:
        """The id of each row's request: the client's `id`, or one that is made up. Empty while nothing is asked."""
        if self._ids is None:
            if any(one.headers is None for one in self._asked):
                raise LookupError(_NOT_SENT)
            ids = [(one.id or str(uuid.uuid4()), one.rows) for one in self._asked]
            self._ids = [each for each, rows in ids for _ in range(rows)]
        return dict(enumerate(self._ids[self._shown]))

    def get_request_id(self, idx: int = 0) -> str | None:
        return self.request_ids.get(idx)

    def get_request_header(self, idx: int, key: str) -> str | None:
        """A header of the client, if it is one of those that are passed on (see protocol/handler_headers.py)."""
        return self.request_processor[idx].get_request_property(key)

    def get_all_request_header(self, idx: int) -> dict[str, str]:
        return self.request_processor[idx].get_request_properties()

    def get_sequence_id(self, idx: int) -> str | None:
        return self.get_request_header(idx, self.header_key_sequence_id)

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """The status of the request that the row belongs to; ignored while nothing is asked, as TorchServe does."""
        if self._asked:
            self.request_processor[idx].report_status(code, phrase)

    def set_all_response_status(self, code: int = 200, phrase: str = "") -> None:
        for row in self.request_processor:
            row.report_status(code, phrase)

    def get_response_status(self, idx: int) -> tuple[Any, str | None]:
        row = self.request_processor[idx]
        return row.get_response_status_code(), row.get_response_status_phrase()

    def set_response_content_type(self, idx: int, value: str) -> None:
        """What the row's bytes are; the response says so as its parameter `media_type`."""
        self.set_response_header(idx, "content-type", value)

    def get_response_content_type(self, idx: int) -> str | None:
        return self.get_response_headers(idx).get("content-type")

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        self.request_processor[idx].add_response_property(key, value)

    def get_response_headers(self, idx: int) -> dict[str, str]:
        return self.request_processor[idx].get_response_headers()

    @property
    def stopping_criteria(self) -> Any:
        raise self._unservable("stopping_criteria")

    @stopping_criteria.setter
    def stopping_criteria(self, value: Any) -> None:
        if value is not None:
            raise self._unservable("stopping_criteria")

    def __getattr__(self, name: str) -> Any:
        if name in _UNSERVABLE:
            raise self._unservable(name)
        raise AttributeError(f"the context has no {name}")

    def _unservable(self, name: str) -> Unservable:
        self.unservable = f"the handler uses context.{name}: {_UNSERVABLE[name]}"
        return Unservable(self.unservable)
