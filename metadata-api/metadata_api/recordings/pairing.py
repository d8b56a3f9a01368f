"""Requests and their answers brought together, in whichever order and batch they come; called by `storing`. Pure."""

import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID, uuid5

from metadata_api.recordings.events import Event

WAIT_SECONDS = 60.0
"""How long an answer waits for its request."""
MAX_WAITING = 1000
MAX_WAITING_BYTES = 16 * 1024 * 1024

Key = tuple[str, UUID]
"""A deployment, and the id of an event."""


@dataclass
class Call:
    """What came of one call of a deployment, in one batch."""

    deployment: str
    id: UUID
    request: Event | None = None
    response: Event | None = None

    @property
    def key(self) -> Key:
        """By which its parts find each other."""
        return self.deployment, self.id


def calls(events: Iterable[tuple[str, Event]]) -> tuple[list[Call], int]:
    """The calls of a batch in the order of their first events, and how many events were there twice."""
    found: dict[Key, Call] = {}
    repeated = 0
    for deployment, event in events:
        call = found.setdefault((deployment, event.id), Call(deployment, event.id))
        if event.is_request:
            repeated += call.request is not None
            call.request = call.request or event
        else:
            repeated += call.response is not None
            call.response = call.response or event
    return list(found.values()), repeated


def uid_of(event_id: UUID, row: int) -> UUID:
    """The id of the prediction about one row: that of the event for the first, so that the event's id finds it."""
    return uuid5(event_id, str(row)) if row else event_id


class Waiting:
    """Answers whose requests have not come yet; another replica of the API may have stored them meanwhile."""

    def __init__(self) -> None:
        self._found: OrderedDict[Key, tuple[float, Event]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._found)

    def put(self, key: Key, event: Event) -> bool:
        """Let an answer wait; False when it does already."""
        if key in self._found:
            return False
        self._found[key] = time.monotonic() + WAIT_SECONDS, event
        self._bytes += len(event.body)
        return True

    def peek(self, key: Key) -> Event | None:
        """The answer that waits for a request."""
        return self._found.get(key, (0.0, None))[1]

    def take(self, key: Key) -> Event | None:
        """The same, which does not wait any more then."""
        _, event = self._found.pop(key, (0.0, None))
        if event is not None:
            self._bytes -= len(event.body)
        return event

    def calls(self) -> list[Call]:
        """All that wait, as calls without a request."""
        return [Call(*key, response=event) for key, (_, event) in self._found.items()]

    def give_up(self) -> int:
        """Forget what has waited long enough, and the oldest of too many; how many those were."""
        now, gone = time.monotonic(), 0
        while self._found:
            key, (end, _) = next(iter(self._found.items()))
            if end > now and len(self._found) <= MAX_WAITING and self._bytes <= MAX_WAITING_BYTES:
                break
            self.take(key)
            gone += 1
        return gone
