"""The API's side of the v2 inference protocol: one image to one model, one answer or one typed failure.

Called by `predictions` for every deployment of a call at once.
"""

import asyncio
from dataclasses import dataclass

from metadata_api.errors import Unavailable
from metadata_api.http_pool import HttpPool, ResponseTooLarge
from serving_runtime.contracts import ErrorCode
from serving_runtime.protocol import rest
from serving_runtime.protocol.tensors import Tensor

# An image model answers a few kilobytes. A model is foreign code: it must not fill our memory.
MAX_ANSWER_BYTES = 1024 * 1024
JSON = {"content-type": "application/json"}
# Parameters that a model may take, and the outputs that they add (docs/adr/0009 and 0043): what the network got,
# and what is unusual about the input.
RETURN_PREPROCESSED, PREPROCESSED = "return_preprocessed", "preprocessed"
RETURN_WARNINGS, WARNING = "return_warnings", "warning"
PREPROCESSED_SIDE = 28
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
    deadline_exceeded, bad_answer, not_an_image_model, deployment_stopped; `detail` is for people.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class ModelOutput:
    """What a model said about one image."""

    model_version: str
    """The version that the answer names."""
    probabilities: list[float]
    """In the order of the version's labels."""
    label: str | None
    preprocessed: bytes | None
    """28 x 28 bytes that really went into the network, if the model can tell."""
    warning: str | None = None
    """What is unusual about the image, in the model's words, if it can tell and there is something."""


def image_request(input_name: str, image: bytes) -> bytes:
    """The v2 JSON body that sends one PNG or JPEG file and asks for what the model sees of it and finds unusual."""
    return rest.build_request(
        [Tensor(input_name, "BYTES", (1,), [image])],
        parameters={RETURN_PREPROCESSED: True, RETURN_WARNINGS: True},
    )


async def infer(pool: HttpPool, serving_url: str, model: str, body: bytes, *, end: float) -> ModelOutput:
    """Ask a model until the event loop's time is `end`; whatever goes wrong outside is an InferenceFailed."""
    url = f"{serving_url}/v2/models/{model}/infer"
    try:
        async with asyncio.timeout_at(end):
            response = await pool.request("POST", url, headers=JSON, body=body, max_bytes=MAX_ANSWER_BYTES)
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
        return _answer(rest.parse_response(response.body))
    except (rest.InvalidResponse, ValueError) as error:
        detail = f"The model's answer is not what an image model answers: {error}"
        raise InferenceFailed("bad_answer", _plain(detail)) from error


def _failure(status: int, content: bytes) -> InferenceFailed:
    code = rest.parse_error_code(content)
    if code is ErrorCode.HANDLER_STATUS:  # the handler's own choice, which says nothing of the server
        meaning = "input_rejected" if status < 500 else None
    else:
        meaning = STATUSES.get(status) if code is None else CODES.get(code)
    return InferenceFailed(meaning or "model_failed", _plain(rest.parse_error(content)))


def _answer(response: rest.InferResponse) -> ModelOutput:
    """Raises ValueError when it is not the answer of an image model to one image."""
    probabilities = response.outputs.get("probabilities")
    if probabilities is None or probabilities.datatype not in ("FP32", "FP64") or not probabilities.data:
        raise ValueError("it has no output `probabilities` of floats")
    label = response.outputs.get("label")
    said = str(label.values()[0]) if label and label.data else None
    if said is not None and (len(said) > 200 or _plain(said) != said):
        raise ValueError("`label` is not text of at most 200 characters")
    preprocessed = response.outputs.get(PREPROCESSED)
    size = PREPROCESSED_SIDE**2
    if preprocessed is not None and (preprocessed.datatype != "UINT8" or len(preprocessed.data) != size):
        raise ValueError(f"`{PREPROCESSED}` is not {PREPROCESSED_SIDE} x {PREPROCESSED_SIDE} bytes")
    return ModelOutput(
        model_version=str(response.model_version)[:100],
        probabilities=probabilities.values(),
        label=said,
        preprocessed=(
            bytes(preprocessed.data) if preprocessed and isinstance(preprocessed.data, bytes) else None
        ),
        warning=_warning(response.outputs.get(WARNING)),
    )


def _warning(output: Tensor | None) -> str | None:
    """The text of the output, None for none; another output of this name is not ours to read."""
    if output is None or output.datatype != "BYTES" or not output.data:
        return None
    return _plain(str(output.values()[0])) or None


def _plain(text: str) -> str:
    """Text of others, cut to what a database and a page can hold."""
    return text.replace("\x00", "").encode(errors="replace").decode()[:500]
