"""What the tests of deployments on one machine ask of the API."""

from typing import Any

import httpx

from tests.waiting import until

URL = "/v1/deployments"


def deploy(api: httpx.Client, version: int = 1, name: str = "digits") -> None:
    """Deploy and wait until it was seen ready."""
    body = {"name": name, "experiment": "digits", "version": version}
    api.post(URL, json=body).raise_for_status()
    until(lambda: shown(api, name)["ready"])


def shown(api: httpx.Client, name: str = "digits") -> dict[str, Any]:
    return dict(api.get(f"{URL}/{name}").json())


def seen(api: httpx.Client) -> tuple[str, int | None, str | None]:
    observed = shown(api)["observed"]
    return observed["state"], observed["version"], observed["reason"]


def events(api: httpx.Client) -> list[tuple[str, int | None]]:
    """Kind and version of every event, oldest first."""
    return [(event["kind"], event["version"]) for event in reversed(shown(api)["events"])]
