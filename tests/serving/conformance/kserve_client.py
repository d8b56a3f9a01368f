"""Runs in the environment of KServe's own client: does each of its calls and prints what came back, as JSON.

python -m tests.serving.conformance.kserve_client http://127.0.0.1:8080
"""

import asyncio
import inspect
import json
import sys
from typing import Any

import grpc
import httpx
import numpy as np
from kserve import (
    InferenceGRPCClient,
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)
from kserve.protocol.infer_type import RequestedOutput

from tests.serving.conformance.arrays import FORMS, PIXELS, VALUES


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
    """The status and text of a rejection."""
    try:
        await work
    except httpx.HTTPStatusError as error:
        return [error.response.status_code, str(error)]
    return [200, ""]


async def echo(client: InferenceRESTClient, url: str, *, binary: bool) -> list[str]:
    """Send one row of each datatype; the names of those that come back as they were. FP16 is always binary."""
    inputs, outputs = [], []
    for datatype, array in VALUES.items():
        tensor = InferInput(name=f"in_{datatype.lower()}", shape=[1, 2], datatype=datatype)
        tensor.set_data_from_numpy(array, binary_data=binary or datatype == "FP16")
        inputs.append(tensor)
        parameters = {"binary_data": binary or datatype == "FP16"}
        outputs.append(RequestedOutput(name=f"out_{datatype.lower()}", parameters=parameters))
    answer = await client.infer(url, InferRequest("echo", inputs, request_outputs=outputs), model_name="echo")
    same = []
    for datatype, sent in VALUES.items():
        found = answer.get_output_by_name(f"out_{datatype.lower()}").as_numpy()
        if datatype == "BYTES":
            sent, found = ([text(item) for item in array.flatten()] for array in (sent, found))
        if np.array_equal(found, sent):
            same.append(datatype)
    return same


async def grpc_status(url: str) -> str:
    """What KServe's client for gRPC makes of this server."""
    async with InferenceGRPCClient(url.removeprefix("http://"), timeout=20) as client:
        try:
            await client.is_server_live()
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


async def ask(url: str) -> dict[str, Any]:
    """Every call of the client that v2 has."""
    document = {"inputs": [{"name": "image", "shape": [1, 2, 3], "datatype": "UINT8", "data": [1] * 6}]}
    calls = [
        name for name, _ in inspect.getmembers(InferenceRESTClient, callable) if not name.startswith("_")
    ]
    found: dict[str, Any] = {"calls": calls, "gRPC": await grpc_status(url)}
    async with InferenceRESTClient(RESTConfig(protocol="v2", timeout=20)) as client:
        found["is_server_live"] = await client.is_server_live(url)
        found["is_server_ready"] = await client.is_server_ready(url)
        found["is_model_ready"] = await client.is_model_ready(url, "summing")
        found["is_model_ready of none"] = await client.is_model_ready(url, "none")
        found["infer with a dict"] = shown(await client.infer(url, document, model_name="summing"))
        for sent, binary_in in FORMS.items():
            for got, binary_out in FORMS.items():
                data = request(binary_in=binary_in, binary_out=binary_out)
                answer = await client.infer(url, data, model_name="summing")
                found[f"infer, {sent} in, {got} out"] = shown(answer)
        for form, binary in FORMS.items():
            found[f"infer, every datatype, {form}"] = await echo(client, url, binary=binary)
        found["infer of none"] = await status_of(client.infer(url, document, model_name="none"))
        wrong = {"inputs": [{**document["inputs"][0], "shape": [6]}]}
        found["infer of a wrong shape"] = await status_of(client.infer(url, wrong, model_name="summing"))
    return found


if __name__ == "__main__":
    # One server after the other, as the SDK takes seconds to import.
    for line in sys.stdin:
        sys.stdout.write("\n" + json.dumps(asyncio.run(ask(line.strip()))) + "\n")
        sys.stdout.flush()
