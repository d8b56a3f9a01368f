"""Wrong v2 requests for the summing model, made by chance from a seed: each of them must be a 4xx."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SIZE = "Inference-Header-Content-Length"
IN_BINARY: dict[str, Any] = {
    "name": "image",
    "datatype": "UINT8",
    "shape": [1, 2, 3],
    "parameters": {"binary_data_size": 6},
}


@dataclass(frozen=True)
class Request:
    """One request; `kind` says what is wrong with it."""

    kind: str
    body: bytes
    headers: dict[str, str]


def make(seed: int) -> Request:
    """The wrong request with this number."""
    chance = random.Random(seed)
    way = chance.choice(WAYS)
    found = way(chance)
    body, headers = found if isinstance(found, tuple) else (found, {})
    kind = f"{way.__name__.strip('_')} {seed}"
    return Request(kind, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)


def _good(**changes: Any) -> dict[str, Any]:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 3], "data": [1, 2, 3, 4, 5, 6], **changes}
    return {"inputs": [tensor]}


def _shape(chance: random.Random) -> Any:
    sizes = [2**63, 2**62, 2**31, -1, 0, 2, 3, 4, 1.0, True, "1", None, [1]]
    wrong = [chance.choice([*sizes, 1]) for _ in range(chance.choice([0, 1, 2, 3, 3, 3, 4, 1000]))]
    if wrong[:1] == [1] and wrong[1:] == [2, 3]:
        wrong = [2]
    return _good(shape=chance.choice([wrong, wrong, wrong, "1,2,3", {"0": 1}, None, 6]))


def _length(chance: random.Random) -> Any:
    count = chance.choice([0, 1, 5, 7, 12, 600, 10_000])
    return _good(data=[chance.randrange(256) for _ in range(count)])


def _nesting(chance: random.Random) -> Any:
    return _good(
        data=chance.choice(
            [
                [[1, 2, 3], [4, 5]],
                [[[1, 2, 3], [4, 5, 6]], []],
                [[1, 2], [3, 4], [5, 6]],
                [1, 2, 3, [4], 5, 6],
                [[[[1]], 2, 3, 4, 5, 6]],
                {"0": 1},
                "AQIDBAUG",
                7,
                None,
            ]
        )
    )


def _datatype(chance: random.Random) -> Any:
    wrong = ["FP16", "FP64", "INT7", "", "uint8", "STRING", "BOOL", "INT64", None, 5, ["UINT8"], "U" * 5000]
    return _good(datatype=chance.choice(wrong))


def _element(chance: random.Random) -> Any:
    datatype = chance.choice(["UINT8", "FP32", "BYTES"])
    wrong: dict[str, list[Any]] = {
        "UINT8": [256, -1, 2**70, 1.5, True, "1", None, [], {}],
        "FP32": [True, "1", None, [], {}, 10**400 if chance.random() < 0.1 else 1e39],
        "BYTES": [1, 1.5, True, None, [], {}, "not base64 of an image"],
    }
    data: list[Any] = [chance.randrange(200) for _ in range(6)]
    if datatype == "BYTES":
        data = ["iVBORw0KGgo=" for _ in range(6)]
    data[chance.randrange(6)] = chance.choice(wrong[datatype])
    shape = [6] if datatype == "BYTES" else [1, 2, 3]
    return _good(datatype=datatype, data=data, shape=shape)


def _names(chance: random.Random) -> Any:
    one = _good()["inputs"][0]
    other = {**one, "name": chance.choice(["", "images", "IMAGE", None, 5, "é" * 300, "\ud800"])}
    many = [{**one, "name": f"input {number}"} for number in range(chance.choice([3, 3000]))]
    return {"inputs": chance.choice([[other], [one, one], [one, other], [], many, [None], [[one]], [5]])}


def _document(chance: random.Random) -> Any:
    return chance.choice(
        [{}, [], None, 5, "x", {"inputs": None}, {"inputs": {}}, {"inputs": "image"}, {"Inputs": []}, True]
    )


def _outputs(chance: random.Random) -> Any:
    wrong: list[Any] = [
        [{"name": "nothing"}],
        [{"name": "total"}, {"name": "total"}],
        [{"name": f"output {number}"} for number in range(chance.choice([2, 20_000]))],
        [{}],
        [None],
        ["total"],
        {"name": "total"},
        "total",
        5,
    ]
    return {**_good(), "outputs": chance.choice(wrong)}


def _fields(chance: random.Random) -> Any:
    wrong: list[dict[str, Any]] = [{"id": 5}, {"id": ["x"]}, {"parameters": []}, {"parameters": "x"}]
    return {**_good(), **chance.choice(wrong)}


def _numbers_that_json_does_not_have(chance: random.Random) -> bytes:
    word = chance.choice(
        [
            b"NaN",
            b"Infinity",
            b"-Infinity",
            b"1e999",
            b"-1e999",
            b"9" * 5000,
            b"0x10",
            b"01",
            b"1.",
            b".5",
            b"+1",
        ]
    )
    return json.dumps(_good(datatype="FP32", data=[1, 2, 3, 4, 5, "here"])).encode().replace(b'"here"', word)


def _deep(chance: random.Random) -> bytes:
    depth = chance.choice([100, 1000, 10_000, 100_000, 400_000])
    opening, closing = chance.choice([(b"[", b"]"), (b'{"a":', b"}")])
    return (opening * depth + b"1" + closing * depth)[: 1024 * 1024]


def _encoding(chance: random.Random) -> bytes:
    text = json.dumps(_good())
    return chance.choice(
        [
            text.encode("utf-16"),
            text.encode("utf-32"),
            b"\xff\xfe" + text.encode(),
            text.encode().replace(b"image", b"im\xffge"),
            text.encode()[: chance.randrange(1, len(text) - 1)],
            text.encode() + b"}",
            b"",
            bytes(chance.randrange(256) for _ in range(chance.randrange(1, 2000))) + b"\x00",
        ]
    )


def _binary(chance: random.Random) -> tuple[bytes, dict[str, str]]:
    raw = bytes(range(1, 7))
    size: Any = chance.choice([0, 5, 7, 12, -1, 2**63, 2**31, "6", True, None, 6.0, [6]])
    tensors: list[Any] = [{**IN_BINARY, "parameters": {"binary_data_size": size}}]
    if chance.random() < 0.3:  # the tensor is right, and the tail is not
        tensors, raw = [IN_BINARY], chance.choice([b"", raw[:5], raw + b"x", raw * 3])
    elif chance.random() < 0.3:  # both claim the same bytes
        tensors = [IN_BINARY, IN_BINARY]
    elif chance.random() < 0.3:
        tensors = [{**IN_BINARY, "datatype": "FP32", "parameters": {"binary_data_size": 23}}]
        raw = bytes(23)
    text = json.dumps({"inputs": tensors}).encode()
    return text + raw, {SIZE: str(len(text))}


def _binary_header(chance: random.Random) -> tuple[bytes, dict[str, str]]:
    text = json.dumps({"inputs": [IN_BINARY]}).encode()
    wrong = [-1, len(text) - 1, len(text) + 1, len(text) + 7, 2**63, 10**30, "x", "1e3", "0x10", "1 2"]
    return text + bytes(range(1, 7)), {SIZE: str(chance.choice(wrong))}


def _rejected_by_the_model(chance: random.Random) -> Any:
    return _good(data=[251, *(chance.randrange(200) for _ in range(5))])


WAYS: tuple[Callable[[random.Random], Any], ...] = (
    _shape,
    _length,
    _nesting,
    _datatype,
    _element,
    _names,
    _document,
    _outputs,
    _fields,
    _numbers_that_json_does_not_have,
    _deep,
    _encoding,
    _binary,
    _binary_header,
    _rejected_by_the_model,
)
