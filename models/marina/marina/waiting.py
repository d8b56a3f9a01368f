"""Waiting until a deployment answers in the version that it is to serve, with a deadline and a visible state."""

import time
from collections.abc import Callable

from marina.api import Api, Json, one_line
from marina.errors import Failure, Unreachable

PAUSE_SECONDS = 0.5
# A failure of before stands until the deployer has looked again.
STALE_SECONDS = 20.0
VERBS = {"create", "change", "rollback", "start", "stop"}


def until_ready(api: Api, name: str, version: int, seconds: float, show: Callable[[str], None]) -> Json:
    """The deployment once its version answers; `show` gets its state whenever there is something to say.

    Raises Failure when it failed, was changed by someone else, or is not ready after `seconds`.
    """
    begin = time.monotonic()
    said = "nothing was observed"
    while (left := begin + seconds - time.monotonic()) > 0:
        try:
            found = api.get(f"/v1/deployments/{name}", seconds=max(1.0, min(10.0, left)))
        except Unreachable as error:
            said = str(error)
        else:
            if found["version"] != version or found["desired"] != "running":
                raise Failure(f"{name} was changed by someone else meanwhile: look at `marina status {name}`")
            if found["ready"]:
                return found
            said = state_of(found)
            if found["observed"]["state"] == "failed" and (
                _is_new(found) or time.monotonic() - begin > STALE_SECONDS
            ):
                raise Failure(f"{name} version {version} {said}; `marina logs {name}` shows what it printed")
        show(f"{name} version {version}: {said}")
        time.sleep(max(0.0, min(PAUSE_SECONDS, left)))
    raise Failure(f"{name} is not ready after {seconds:.0f} s ({said}): wait longer by --timeout")


def state_of(deployment: Json) -> str:
    """What is observed, with the reason."""
    observed = deployment["observed"]
    reason = one_line(observed["reason"] or "")
    return f"{observed['state']}: {reason}" if reason else str(observed["state"])


def _is_new(deployment: Json) -> bool:
    """Whether it failed since it was last changed; events come newest first."""
    for event in deployment["events"]:
        if event["kind"] == "failed":
            return True
        if event["kind"] in VERBS:
            return False
    return False
