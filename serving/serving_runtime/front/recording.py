"""Which requests are recorded: a share of those that were answered, of the models that a file names.

The metadata API writes the file, on Kubernetes through a Secret. It is looked at twice a second, so that a change
starts no model anew; one that cannot be read leaves the last one in force.
"""

import asyncio
import logging
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson

from serving_runtime.contracts import PREDICTION_HEADER
from serving_runtime.front.recorded_calls import Call, Part
from serving_runtime.front.recording_sender import Sender
from serving_runtime.front.responses import Response
from serving_runtime.watched_file import WatchedFile

LOOK_SECONDS = 0.5
_HEADER = PREDICTION_HEADER.encode()

_log = logging.getLogger(__name__)


class Rule(NamedTuple):
    """What is recorded of one model."""

    rate: float
    answers: bool
    url: str
    namespace: str


class Recorder:
    """`rules` say what is recorded, empty for nothing; `follow` keeps them current."""

    def __init__(self, path: Path | None, sender: Sender) -> None:
        self._file = WatchedFile(path, _read) if path else None
        self._sender = sender
        self._problem = ""
        self.rules: Mapping[str, Rule] = {}
        self._refresh()

    def recorded(
        self,
        model: str,
        version: str,
        body: bytes,
        json_size: int | None,
        began: float,
        response: Response,
        response_json_size: int | None,
    ) -> Response:
        """The response, with the header that leads to the prediction if this request is recorded.

        `began` is what time.perf_counter() was when the request was complete.
        """
        rule = self.rules.get(model)
        if rule is None or random.random() >= rule.rate:
            return response
        now, event = time.time(), _event_id()
        request = Part(body, json_size, now - (time.perf_counter() - began))
        answer = Part(response.body, response_json_size, now) if rule.answers else None
        if not self._sender.put(Call(rule.url, event, rule.namespace, model, version, request, answer)):
            return response
        return Response(
            response.status, response.body, (*response.headers, (_HEADER, event.encode())), response.packable
        )

    async def follow(self) -> None:
        """Look at the file and at what is being sent again and again, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._refresh()
            self._sender.expire()

    async def close(self) -> None:
        """Send what is queued, for a short time."""
        await asyncio.to_thread(self._sender.close)

    def _refresh(self) -> None:
        if self._file is None:
            return
        try:
            rules = self._file.changed()
            if rules is not None:
                self.rules = rules
            self._problem = ""
        except FileNotFoundError:
            self.rules = {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if self._problem != str(error):
                _log.warning("%s is not read: %s; what is recorded stays as it is", self._file.path, error)
            self._problem = str(error)


def _event_id() -> str:
    """A random UUID of version 4; it names an event and is no secret, and uuid.uuid4() takes four times as long."""
    digits = f"{random.getrandbits(128):032x}"
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _read(content: bytes) -> dict[str, Rule]:
    document = orjson.loads(content)
    return {
        name: _rule(str(document["namespace"]), **found) for name, found in sorted(document["models"].items())
    }


def _rule(namespace: str, rate: float, answers: bool, url: str) -> Rule:
    address = urlsplit(url)
    if not 0 <= rate <= 1 or address.scheme not in ("http", "https") or not address.hostname:
        raise ValueError("a rate or an address is wrong")
    return Rule(rate, answers, url, namespace)
