"""Runs in the environment of KServe's own client: does each of its calls and prints what came back, as JSON.

python kserve_client.py http://127.0.0.1:8080
"""

import asyncio
import json
import sys
from typing import Any

import httpx
import numpy as np
from kserve import (
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)
from kserve.protocol.infer_type import RequestedOutput

PIXELS = np.arange(1, 7, dtype=np.uint8).reshape(1, 2, 3)


def request(*, binary_in: bool, binary_out: bool) -> Any:
    """One row for the summing model."""
    image = InferInput(name="image", shape=[1, 2, 3], datatype="UINT8")
    image.set_data_from_numpy(PIXELS, binary_data=binary_in)
    outputs = [
        RequestedOutput(name=name, parameters={"binary_data": binary_out}) for name in ("total", "label")
    ]
    return InferRequest("summing", [image], request_id="seven", request_outputs=outputs)


def shown(response: Any) -> dict[str, Any]:
    """What the tests look at; the client itself drops the version."""
    return {
        "model_name": response.model_name,
        "id": response.id,
        "total": [float(item) for item in response.get_output_by_name("total").as_numpy()],
        "label": [text(item) for item in response.get_output_by_name("label").as_numpy()],
    }


def text(item: Any) -> str:
    """BYTES are bytes when they came in binary, and text when they came as JSON."""
    return item.decode() if isinstance(item, bytes) else str(item)


async def status_of(work: Any) -> list[Any]:
    """The status and text of a refusal."""
    try:
        await work
    except httpx.HTTPStatusError as error:
        return [error.response.status_code, str(error)]
    return [200, ""]


async def ask(url: str) -> dict[str, Any]:
    """Every call of the client that v2 has."""
    document = {"inputs": [{"name": "image", "shape": [1, 2, 3], "datatype": "UINT8", "data": [1] * 6}]}
    found: dict[str, Any] = {}
    async with InferenceRESTClient(RESTConfig(protocol="v2", timeout=20)) as client:
        found["is_server_live"] = await client.is_server_live(url)
        found["is_server_ready"] = await client.is_server_ready(url)
        found["is_model_ready"] = await client.is_model_ready(url, "summing")
        found["is_model_ready of none"] = await client.is_model_ready(url, "none")
        found["infer with a dict"] = shown(await client.infer(url, document, model_name="summing"))
        for binary_in in (False, True):
            for binary_out in (False, True):
                data = request(binary_in=binary_in, binary_out=binary_out)
                answer = await client.infer(url, data, model_name="summing")
                found[f"infer {binary_in} {binary_out}"] = shown(answer)
        found["infer of none"] = await status_of(client.infer(url, document, model_name="none"))
        wrong = {"inputs": [{**document["inputs"][0], "shape": [6]}]}
        found["infer of a wrong shape"] = await status_of(client.infer(url, wrong, model_name="summing"))
    return found


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(asyncio.run(ask(sys.argv[1]))))
