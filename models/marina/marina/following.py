"""The log of a deployment as it grows, asked for again and again; only the last lines are ever held."""

import time
from collections.abc import Iterator, Sequence

from marina.api import Api, Json
from marina.errors import Unreachable

MOST_LINES = 1000
PAUSE_SECONDS = 1.0
# So long the API may be away, as while it is updated.
PATIENCE_SECONDS = 60.0
MOST_PROCESSES = 100
GAP = "... lines are missing here: they came faster than they are read ..."


def parts(api: Api, name: str, lines: int) -> Iterator[tuple[str | None, Sequence[str]]]:
    """The last lines of each process that serves, then what it writes, without end; first its pod, None on one machine.

    Raises Failure when the deployment is gone, or the API has been away for a minute.
    """
    seen: dict[str | None, list[str]] = {}
    while True:
        for part in _patiently(api, name)["parts"]:
            pod, now = part["pod"], part["lines"]
            fresh = new_lines(seen.pop(pod), now) if pod in seen else now[-lines:]
            seen[pod] = now
            if fresh:
                yield pod, fresh
        for pod in list(seen)[:-MOST_PROCESSES]:
            del seen[pod]
        time.sleep(PAUSE_SECONDS)


def new_lines(seen: Sequence[str], now: Sequence[str]) -> Sequence[str]:
    """What stands behind the lines that were seen already; all of it after GAP where none of them is left.

    The last line that was seen may have been half a line; then it comes again.
    """
    for count in range(min(len(seen), len(now)), 0, -1):
        last = now[count - 1]
        if last.startswith(seen[-1]) and seen[-count:-1] == now[: count - 1]:
            return now[count:] if last == seen[-1] else now[count - 1 :]
    return [GAP, *now] if seen and now else now


def _patiently(api: Api, name: str) -> Json:
    """The log, as soon as the API can be reached. Raises Failure."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return api.get(f"/v1/deployments/{name}/logs", lines=MOST_LINES)
        except Unreachable:
            if time.monotonic() > end:
                raise
        time.sleep(PAUSE_SECONDS)
