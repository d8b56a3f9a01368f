"""What can go wrong with a call of the metadata API; raised by its client, shown by the pages.

ApiError                what went wrong, as a sentence that may be shown
├── ApiAway             no answer, or only says that it cannot work now: worth trying again
├── ApiRejected         the API understood and said no (4xx); `code` is its stable error code
│   └── ApiUnauthenticated  it does not accept the visitor's credential (401)
└── ApiFaulty           an answer that is not one: 5xx, or JSON of another shape
"""

import httpx
from pydantic import ValidationError

from model_ui.api_types import Fault


class ApiError(Exception):
    """What went wrong, as a sentence that may be shown."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class ApiAway(ApiError):
    """No answer, or only that it cannot work now."""


class ApiRejected(ApiError):
    """The API understood and said no; `code` is its stable error code."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code


class ApiUnauthenticated(ApiRejected):
    """The API does not accept the visitor's credential, or wants one."""


class ApiFaulty(ApiError):
    """An answer that is not one."""


def error_of(answer: httpx.Response) -> ApiError:
    """What an answer that is no success means."""
    try:
        fault = Fault.model_validate_json(answer.content)
    except ValidationError:
        fault = Fault()
    detail = fault.detail or f"The API answered with status {answer.status_code}."
    if answer.status_code in (502, 503, 504):
        return ApiAway(detail)
    if answer.status_code >= 500:
        return ApiFaulty(detail)
    if answer.status_code == 401:
        return ApiUnauthenticated(401, fault.error, detail)
    return ApiRejected(answer.status_code, fault.error, detail)
