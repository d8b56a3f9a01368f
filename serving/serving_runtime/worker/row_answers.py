"""What a handler has said through its context of one request's rows: a status, and what goes beside the outputs."""

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

from serving_runtime.protocol import handler_headers
from serving_runtime.worker.context import RowContext

_LONGEST_TEXT = 1000


class Said(NamedTuple):
    """`error` as it stands in a frame, None when the request is answered; `returned`: headers and media type."""

    error: dict[str, Any] | None
    returned: dict[str, Any]


def of_request(rows: Sequence[RowContext], answers: Sequence[bytes] | None) -> Said:
    """What was said of one request's rows; `answers` are their texts, where the handler gives texts.

    The first row with an error decides: v2 has one status for all rows of a request.
    """
    returned: dict[str, Any] = {}
    try:
        if headers := _joined([handler_headers.returned(row.get_response_headers()) for row in rows]):
            returned["headers"] = headers
        if media_type := _media_type(rows):
            returned["media_type"] = media_type
    except ValueError as error:
        return Said(_broken(str(error)), {})
    for at, row in enumerate(rows):
        code = row.get_response_status_code()
        if not _is_success(code):
            where = f"row {at}: " if len(rows) > 1 else ""
            text = answers[at].decode("utf-8", "replace") if answers else ""
            words = [str(row.get_response_status_phrase() or ""), text]
            return Said(of_status(code, where + ": ".join(filter(None, words))), returned)
    return Said(None, returned)


def of_status(code: Any, text: str) -> dict[str, Any]:
    """An error with a status that the handler has chosen, or what is wrong with that status."""
    try:
        status = operator.index(code)
    except TypeError:
        status = 0
    if not 400 <= status <= 599:
        return _broken(f"the handler set the status {code!r:.40}, which is none of an error (400 to 599)")
    return {"kind": "status", "status": status, "text": _plain(text) or f"the handler answered {status}"}


def _is_success(code: Any) -> bool:
    try:
        return code is None or 200 <= code <= 299
    except TypeError:
        return False


def _joined(rows: Sequence[dict[str, str]]) -> dict[str, str]:
    """One header each; rows that differ make a list, as HTTP says."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: ", ".join(dict.fromkeys(row[name] for row in rows if name in row)) for name in names}


def _media_type(rows: Sequence[RowContext]) -> str:
    """What the rows' bytes are; as a list, one for each row, where they differ."""
    # Whatever the handler set: of another type than text it may not even be comparable.
    found = ["" if (one := row.get_response_header("content-type")) is None else one for row in rows]
    texts = dict.fromkeys(one for one in found if handler_headers.is_value(one))
    text = found[0] if len(texts) == 1 else ", ".join(one for one in found if isinstance(one, str))
    if not all(map(handler_headers.is_value, found)) or not handler_headers.is_value(text):
        raise ValueError("the response content type has a value that no header can carry")
    return text


def _broken(text: str) -> dict[str, Any]:
    return {"kind": "model", "text": _plain(text)}


def _plain(text: str) -> str:
    return " ".join(text.split()).encode("utf-8", "replace").decode()[:_LONGEST_TEXT]
