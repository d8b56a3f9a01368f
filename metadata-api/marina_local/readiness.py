"""The first real prediction of every deployment after a start; the launcher waits for it."""

import asyncio
import math
import time

import httpx

from marina_local import tokens
from marina_local.settings import LocalSettings

LOOK_SECONDS = 0.25


async def await_predictions(settings: LocalSettings) -> dict[str, str | None]:
    """Ask every deployment that is to run until it answers, has failed, or `start_seconds` are over.

    Returns name -> None if it answered, else the reason why not.
    """
    end = time.monotonic() + settings.start_seconds
    answered: set[str] = set()
    reasons: dict[str, str | None] = {}
    headers = tokens.header(settings)
    async with httpx.AsyncClient(headers=headers, timeout=10, trust_env=False) as client:
        while time.monotonic() < end:
            desired = await _desired(client, settings.address("api"))
            if desired is not None:
                for name in desired.keys() - answered:
                    if await _predicts(client, f"{settings.address('serving')}/v2/models/{name}"):
                        answered.add(name)
                reasons = {
                    name: None if name in answered else observed["reason"] or "no reason known yet"
                    for name, observed in desired.items()
                }
                if all(
                    name in answered or observed["state"] == "failed" for name, observed in desired.items()
                ):
                    break
            await asyncio.sleep(LOOK_SECONDS)
    return reasons


async def _desired(client: httpx.AsyncClient, api: str) -> dict[str, dict[str, str | None]] | None:
    """Deployments that are to run: name -> observed state; None when the API has no answer."""
    try:
        answer = await client.get(f"{api}/v1/deployments", params={"limit": 200})
        items = answer.json()["items"]
        return {item["name"]: item["observed"] for item in items if item["desired"] == "running"}
    except (httpx.HTTPError, ValueError, KeyError):
        return None


async def _predicts(client: httpx.AsyncClient, model: str) -> bool:
    """Whether a model answers: an image model gets a black image, of others their own readiness is asked."""
    try:
        described = await client.get(model)
        if described.status_code != 200:
            return False
        inputs = described.json()["inputs"]
        if [item["parameters"]["kind"] for item in inputs] != ["image"] or inputs[0]["datatype"] == "BYTES":
            return (await client.get(f"{model}/ready")).status_code == 200
        shape = [1, *inputs[0]["shape"][1:]]
        tensor = {"name": inputs[0]["name"], "shape": shape, "datatype": inputs[0]["datatype"]}
        tensor["data"] = [0] * math.prod(shape)
        return (await client.post(f"{model}/infer", json={"inputs": [tensor]})).status_code == 200
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False
