"""The API's side of the v2 inference protocol: one row to one model, one answer or one typed failure, all in binary.

Called by `predictions` for every deployment of a call at once.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metadata_api.errors import Unavailable
from metadata_api.http_pool import HttpPool, ResponseTooLarge
from serving_runtime.contracts import ErrorCode
from serving_runtime.protocol import binary, rest
from serving_runtime.protocol.tensors import Tensor

# Room for a map of an image's classes. A model is foreign code: it must not fill our memory.
MAX_ANSWER_BYTES = 8 * 1024 * 1024
# Parameters that a model may take, and the outputs that they add (docs/adr/0009 and 0043): what the network got,
# and what is unusual about the input.
RETURN_PREPROCESSED, PREPROCESSED = "return_preprocessed", "preprocessed"
RETURN_WARNINGS, WARNING = "return_warnings", "warning"
# Codes of the serving front's errors, as codes of this API; all others mean that the model failed.
CODES = {
    ErrorCode.INVALID_REQUEST: "input_rejected",
    ErrorCode.BODY_TOO_LARGE: "input_rejected",
    ErrorCode.NOT_FOUND: "model_not_ready",
    ErrorCode.NOT_READY: "model_not_ready",
    ErrorCode.WORKER_FAILED: "model_not_ready",
    ErrorCode.QUEUE_FULL: "model_overloaded",
    ErrorCode.DEADLINE_EXCEEDED: "deadline_exceeded",
}
# The same by status, for answers of what stands between us and the front, which have no code.
STATUSES = {
    400: "input_rejected",
    404: "model_not_ready",
    413: "input_rejected",
    429: "model_overloaded",
    503: "model_not_ready",
    504: "deadline_exceeded",
}


class InferenceFailed(Exception):
    """Why there is no answer.

    `code` is one of model_not_ready, model_overloaded, model_unreachable, model_failed, input_rejected,
    deadline_exceeded, bad_answer, internal_error; `detail` is for people.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class ModelOutput:
    """What a model said about one input."""

    model_version: str
    """The version that the answer names."""
    outputs: Mapping[str, Tensor]
    preprocessed: Tensor | None = None
    """What really went into the network, if the model can tell."""
    warning: str | None = None
    """What is unusual about the input, in the model's words, if it can tell and there is something."""


@dataclass(frozen=True)
class ModelRequest:
    """The body that asks a model, in binary; `json_size` is the length of its JSON."""

    body: bytes
    json_size: int


def build_request(inputs: Sequence[Tensor]) -> ModelRequest:
    """The body that sends these inputs and asks for what the model sees of them and finds unusual."""
    wants = {RETURN_PREPROCESSED: True, RETURN_WARNINGS: True}
    return ModelRequest(*rest.build_binary_request(inputs, parameters=wants))


async def infer(
    pool: HttpPool, serving_url: str, model: str, version: str, request: ModelRequest, *, end: float
) -> ModelOutput:
    """Ask one model, at a version if one is named, until `end` on the clock of the event loop; raises InferenceFailed.

    A request whose connection breaks before the answer is sent once more. Whatever goes wrong outside is an
    InferenceFailed.
    """
    at = f"/versions/{version}" if version else ""
    url = f"{serving_url}/v2/models/{model}{at}/infer"
    headers = {"content-type": "application/octet-stream", binary.HEADER: str(request.json_size)}
    try:
        async with asyncio.timeout_at(end):
            response = await pool.request(
                "POST", url, headers=headers, body=request.body, max_bytes=MAX_ANSWER_BYTES
            )
    except TimeoutError as error:
        raise InferenceFailed("deadline_exceeded", "The model did not answer within the deadline.") from error
    except ResponseTooLarge as error:
        raise InferenceFailed("bad_answer", f"The model's answer cannot be read: {error}.") from error
    except Unavailable as error:
        raise InferenceFailed("model_overloaded", error.detail) from error
    except OSError as error:
        raise InferenceFailed(
            "model_unreachable", f"No answer of the serving process: {_plain(str(error))}"
        ) from error
    if response.status != 200:
        raise _failure(response.status, response.body)
    try:
        return _answer(rest.parse_response(response.body, _json_size(response.headers)))
    except (rest.InvalidResponse, ValueError) as error:
        raise InferenceFailed("bad_answer", _plain(f"The model's answer cannot be read: {error}")) from error


def _json_size(headers: Mapping[str, str]) -> int | None:
    """None when all of the body is JSON; raises ValueError."""
    size = headers.get(binary.HEADER)
    return None if size is None else int(size)


def _failure(status: int, content: bytes) -> InferenceFailed:
    code = rest.parse_error_code(content)
    if code is ErrorCode.HANDLER_STATUS:  # the handler's own choice, which says nothing of the server
        meaning = "input_rejected" if status < 500 else None
    else:
        meaning = STATUSES.get(status) if code is None else CODES.get(code)
    return InferenceFailed(meaning or "model_failed", _plain(rest.parse_error(content)))


def _answer(response: rest.InferResponse) -> ModelOutput:
    outputs = dict(response.outputs)
    if not outputs:
        raise ValueError("it has no outputs")
    seen = outputs.pop(PREPROCESSED, None)
    warning = outputs.pop(WARNING, None)
    return ModelOutput(str(response.model_version)[:100], outputs, seen, _warning(warning))


def _warning(output: Tensor | None) -> str | None:
    """The text of the output, None for none; another output of this name is not ours to read."""
    if output is None or output.datatype != "BYTES" or not output.data:
        return None
    return _plain(str(output.values()[0])) or None


def _plain(text: str) -> str:
    """Text of others, cut to what a database and a page can hold."""
    return text.replace("\x00", "").encode(errors="replace").decode()[:500]
