"""Requests for the models of this folder by plain HTTP, their bytes made by hand, and the answers taken apart."""

import struct
from typing import Any

import httpx
import orjson

from ..conftest import Front
from .archives import input_name, output_name

HEADER = "Inference-Header-Content-Length"
# The example of the specification, with shapes that agree with its data.
REQUEST: dict[str, Any] = {
    "id": "42",
    "inputs": [
        {"name": "input0", "shape": [2, 2], "datatype": "UINT32", "data": [1, 2, 3, 4]},
        {"name": "input1", "shape": [2], "datatype": "BOOL", "data": [True, False]},
    ],
    "outputs": [{"name": "output0"}],
}
TENSORS = struct.pack("<4I2?", 1, 2, 3, 4, True, False)
ANSWER = [1.0, 2.0, 0.0, 0.0]


def strings(*elements: bytes) -> bytes:
    """BYTES as they travel."""
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


WORDS = [b"", 'ü:"\\'.encode()]
# One row of each datatype: as JSON data, and the little-endian bytes of the same; FP16 has no JSON form.
VALUES: dict[str, tuple[list[Any], bytes]] = {
    "BOOL": ([True, False], b"\x01\x00"),
    "UINT8": ([0, 2**8 - 1], b"\x00\xff"),
    "UINT16": ([1, 2**16 - 1], b"\x01\x00\xff\xff"),
    "UINT32": ([1, 2**32 - 1], b"\x01\x00\x00\x00\xff\xff\xff\xff"),
    "UINT64": ([1, 2**64 - 1], b"\x01" + bytes(7) + b"\xff" * 8),
    "INT8": ([-(2**7), 2**7 - 1], b"\x80\x7f"),
    "INT16": ([-(2**15), 2**15 - 1], b"\x00\x80\xff\x7f"),
    "INT32": ([-(2**31), 2**31 - 1], b"\x00\x00\x00\x80\xff\xff\xff\x7f"),
    "INT64": ([-(2**63), 2**63 - 1], bytes(7) + b"\x80" + b"\xff" * 7 + b"\x7f"),
    "FP16": ([], b"\x01\x00\xff\xfb"),
    "FP32": ([2**-149, 3.4028234663852886e38], b"\x01\x00\x00\x00\xff\xff\x7f\x7f"),
    "FP64": ([5e-324, -1.7976931348623157e308], b"\x01" + bytes(7) + b"\xff" * 6 + b"\xef\xff"),
    "BYTES": ([word.decode() for word in WORDS], strings(*WORDS)),
}


def post(served: Front, document: Any, tensors: bytes = b"", path: str = "mymodel/infer") -> httpx.Response:
    """Send a body of JSON and binary tensors."""
    text = orjson.dumps(document)
    headers = {HEADER: str(len(text))} if tensors else {}
    return served.client.post(f"/v2/models/{path}", content=text + tensors, headers=headers)


def with_sizes(*sizes: object, outputs: list[Any] | None = None) -> dict[str, Any]:
    """The specification's request with binary inputs of these sizes."""
    inputs = [
        {
            **{key: value for key, value in item.items() if key != "data"},
            "parameters": {"binary_data_size": size},
        }
        for item, size in zip(REQUEST["inputs"], sizes, strict=True)
    ]
    return {"inputs": inputs, "outputs": outputs if outputs is not None else REQUEST["outputs"]}


def echoed(
    served: Front, datatype: str, /, *, binary: bool, raw: bytes | None = None, **own: Any
) -> httpx.Response:
    """Send one row of each datatype and ask for one of them back, `binary` or in JSON.

    Its input is `raw`, or else `own`: `data` and whatever is special about it. All others are binary.
    """
    inputs, tensors = [], b""
    for each, (_, usual) in VALUES.items():
        item: dict[str, Any] = {"name": input_name(each), "datatype": each, "shape": [1, 2]}
        if each == datatype and raw is None:
            inputs.append(item | own)
            continue
        sent = raw if each == datatype and raw is not None else usual
        tensors += sent
        inputs.append(item | {"parameters": {"binary_data_size": len(sent)}})
    outputs = [{"name": output_name(datatype), "parameters": {"binary_data": binary}}]
    return post(served, {"inputs": inputs, "outputs": outputs}, tensors, "echo/infer")


def parted(answer: httpx.Response) -> tuple[list[dict[str, Any]], bytes]:
    """The outputs of a good answer as they stand in the JSON, and the bytes behind it."""
    assert answer.status_code == 200, answer.text
    size = int(answer.headers.get(HEADER, len(answer.content)))
    binary = "application/octet-stream" if HEADER in answer.headers else "application/json"
    assert answer.headers["content-type"] == binary
    return orjson.loads(answer.content[:size])["outputs"], answer.content[size:]


def reason(answer: httpx.Response, status: int) -> str:
    """The text of a rejection, in the only form that clients show."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert list(document) == ["error", "code"]
    assert document["code"]
    text = document["error"]
    assert isinstance(text, str)
    assert text
    return text
