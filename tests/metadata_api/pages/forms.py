"""What the answer to a form says, and how it is taken back."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import httpx

Send = Callable[..., httpx.Response]


def said(answer: httpx.Response) -> str:
    """The message that the answer to a form leaves for the next page, and where that is."""
    assert answer.status_code == 303, answer.text
    return str(left(answer)["text"])


def left(answer: httpx.Response) -> Any:
    """All that it leaves: the message, and the form that takes it back."""
    cookie = next(one for one in answer.headers.get_list("set-cookie") if "marina_status" in one)
    value = cookie.partition(".")[2].partition(";")[0]
    return json.loads(base64.urlsafe_b64decode(unquote(value)))


def take_back(send: Send, answer: httpx.Response) -> str:
    """Press Undo on the page that an action led to; what that says."""
    undo = left(answer)["undo"]
    return said(send("POST", undo["address"], data=undo["fields"]))
