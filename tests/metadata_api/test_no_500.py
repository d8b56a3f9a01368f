"""Whatever is sent, no answer is a 500: hostile values in every place of every documented route."""

import base64
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from metadata_api.schemas.experiments import Listing
from tests.metadata_api.making import make_deployment, make_image

HEX = "0" * 64
UUID = "00000000-0000-4000-8000-000000000000"
# As they stand in a URL, where some are no UTF-8 or no text at all.
URL_VALUES = [
    "", "%00", "%ff", "%ED%A0%80", "%F0%9F%98%80", "%0d%0aX:%201", "..%2f..", "%2e%2e", "%27%3b--", "%25s",
    "-1", "0", "1.5", "1e999", "NaN", "true", "null", "[]", "9" * 19, "9" * 400, "9" * 5000, "a" * 41,
    "a" * 4000, "digits", HEX, UUID, "2020-01-01", "%F0%9D%9F%8F", "%D9%A1", " 1", "1_0", "+1", "%2B1", "a%0A",
]  # fmt: skip
DEEP = "[" * 50_000 + "]" * 50_000
# Texts of JSON: some cannot be written by `json.dumps`.
JSON_VALUES = [
    "null", "true", "-1", "0", "1.5", "1e999", "-1e999", "NaN", "Infinity", "9" * 19, "9" * 400, "9" * 5000,
    '""', '"x"', '"digits"', r'"\u0000"', r'"\ud800"', r'"\udc00\ud800"', '"' + "x" * 20_000 + '"', "[]",
    "[null]", "{}", r'{"\u0000": 1}', r'{"\ud800": 1}', '{"a": {"a": 1}}', '{"a": ' + "9" * 400 + "}",
    r'{"a": "\ud800"}', DEEP, '{"steps": [1], "values": [1e999]}',
    '{"loss": {"steps": [9223372036854775808], "values": [1]}}', '{"loss": {"steps": [true], "values": [true]}}',
    r'{"a\u0000": {"steps": [1], "values": [1]}}',
]  # fmt: skip
BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"\xff\xfe",
    b"\x00",
    DEEP.encode(),
    b'{"a":' * 5000,
    "{}".encode("utf-16"),
    b"{}" * 2,
]
HEADER_VALUES = [
    b"\xff",
    b"\xc3\xa9",
    b"",
    b"\x7f",
    b"a" * 4000,
    b"gzip;q=x, *;q=\xff",
    b"-1",
    b"9" * 400,
    b"a\tb",
]
HEADERS = [
    "accept", "accept-encoding", "content-encoding", "inference-header-content-length", "range",
    "if-none-match", "if-range", "if-modified-since", "x-forwarded-proto", "x-forwarded-host", "origin",
    "cookie", "authorization", "user-agent", "expect", "accept-language", "forwarded", "x-request-id",
    "idempotency-key", "content-type",
]  # fmt: skip
KINDS = [
    "", "application/json", "application/json; charset=utf-16", "application/json; charset=nothing",
    "text/plain", "text/csv", "application/octet-stream", "application/x-www-form-urlencoded",
    "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=b",
    "multipart/form-data; boundary=é", "multipart/form-data; charset=undefined; boundary=b",
    "multipart/form-data; charset=utf-7; boundary=b", "multipart/form-data; charset=idna; boundary=b",
    "multipart/form-data; charset=hex; boundary=b", "multipart/form-data; charset=utf-16; boundary=b",
]  # fmt: skip
# File names and values of a form, in bytes.
FORM_VALUES = [
    b"",
    b"x",
    b"\x00",
    b"\xff",
    b"+2AA-",
    b"../x",
    b'"',
    b"9" * 400,
    b"digits",
    HEX.encode(),
    b"a" * 300_000,
]
NOT_HTTP = b"Invalid HTTP request received."  # what uvicorn says before the API sees anything
Send = Callable[..., None]
Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture(params=[pytest.param(11, id="some"), pytest.param(1, id="all", marks=pytest.mark.long)])
def stride(request: pytest.FixtureRequest) -> int:
    """Of so many cases one is sent: a sample in the ordinary tests, all of them in the long ones."""
    return int(request.param)


@pytest.fixture(scope="module")
def operations(app: FastAPI) -> list[Operation]:
    """Method, path and description of every operation of the API."""
    return [
        (method.upper(), path, operation)
        for path, item in app.openapi()["paths"].items()
        for method, operation in item.items()
    ]


@pytest.fixture
def stored(api: httpx.Client, engine: Engine) -> None:
    """One of each, so that requests reach what lies behind a name."""
    make_deployment(engine, "digits")
    curve = {"loss": {"steps": [1, 2], "values": [2.0, 1.0]}}
    assert api.post("/v1/experiments", json={"name": "net", "curves": curve}).status_code == 201
    assert api.put("/v1/aliases/champion", json={"deployment": "digits"}).status_code == 201
    answer = api.post("/v1/predictions", files={"image": make_image()}, data={"deadline_ms": "100"})
    assert answer.status_code == 200


@pytest.fixture
def send(api: httpx.Client, stored: None, stride: int) -> Iterator[Send]:
    """Send one request of `stride`; at the end, none of the answers may have been a fault of the API."""
    wrong: list[str] = []
    cases = itertools.count()

    def request(method: str, url: str, **options: Any) -> None:
        if next(cases) % stride:
            return
        try:
            answer = api.request(method, url, **options)
        except httpx.TransportError as error:
            # What uvicorn does after an exception that reached it.
            wrong.append(f"{method} {url[:200]} {str(options)[:300]}: {error}")
            return
        if answer.status_code == 500 or (answer.status_code >= 400 and not is_error(answer, url)):
            wrong.append(
                f"{method} {url[:200]} {str(options)[:300]}: {answer.status_code} {answer.text[:200]}"
            )

    yield request
    assert not wrong, "\n".join([f"{len(wrong)} answers", *wrong[:40]])


def is_error(answer: httpx.Response, url: str) -> bool:
    """Whether the body is what the API promises for an error of this address."""
    if answer.request.method == "HEAD":
        return not answer.content
    if answer.content == NOT_HTTP:
        return True
    body = answer.json()
    return "error" in body if url.startswith("/v2/") else set(body) == {"error", "detail"}


def filled(address: str, /, **values: str) -> str:
    """A path with names that exist, but for the values given."""
    known = {"name": "digits", "number": "1", "file": "digits", "sha256": HEX, "uid": UUID, "path": "digits"}
    for key, value in (known | values).items():
        address = address.replace(f"{{{key}}}", value)
    return address


def bodies_of(operation: dict[str, Any]) -> dict[str, Any]:
    """The content types of an operation's body, with their schemas."""
    found: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
    return found


def test_values_in_paths_and_queries(send: Send, operations: list[Operation]) -> None:
    for method, path, operation in operations:
        for parameter, value in itertools.product(operation.get("parameters", []), URL_VALUES):
            name = parameter["name"]
            if parameter["in"] == "path":
                send(method, filled(path, **{name: value}))
            elif method == "GET":
                send(method, f"{filled(path)}?{name}={value}")
                send(method, f"{filled(path)}?{name}={value}&{name}=1")


def test_values_in_queries_of_changes(send: Send) -> None:
    for name, value in itertools.product(("reason",), URL_VALUES):
        send("DELETE", f"/v1/aliases/unknown?{name}={value}")
    for name, value in itertools.product(("filename", "dry_run"), URL_VALUES):
        send("POST", f"/v1/imports?{name}={value}", content=b"x")


def test_values_in_fields_of_json(send: Send, operations: list[Operation], app: FastAPI) -> None:
    schemas = app.openapi()["components"]["schemas"]
    for method, path, operation in operations:
        schema = bodies_of(operation).get("application/json", {}).get("schema")
        if schema is None:
            continue
        names = {one["$ref"].rpartition("/")[2] for one in schema.get("anyOf", [schema]) if "$ref" in one}
        fields = {field for name in names for field in schemas[name]["properties"]}
        for field, value in itertools.product(fields, JSON_VALUES):
            needed = {"name": '"made"', "experiment": '"digits"', "deployment": '"digits"'} | {field: value}
            kept = {key: text for key, text in needed.items() if key in fields}
            body = "{" + ", ".join(f'"{key}": {text}' for key, text in kept.items()) + "}"
            send(method, filled(path), content=body, headers={"content-type": "application/json"})


def test_bodies_of_every_kind(send: Send, operations: list[Operation]) -> None:
    for method, path, operation in operations:
        if not bodies_of(operation) and path != "/v2/models/{path}":
            continue
        url = filled(path, path="digits/infer")
        for body, kind in itertools.product(BODIES, KINDS):
            send(method, url, content=body, headers=[(b"content-type", kind.encode("latin-1"))])


@pytest.mark.parametrize("url", ["/v1/imports", "/v1/predictions"])
def test_parts_of_forms(send: Send, url: str) -> None:
    kinds = [kind for kind in KINDS if kind.endswith("boundary=b")]
    field = "file" if url == "/v1/imports" else "image"
    others = [b"filename", b"deployments", b"deadline_ms", b"input_sha256", b"\xff", b"+2AA-"]
    image = make_image()
    for kind, value in itertools.product(kinds, FORM_VALUES):
        headers = {"content-type": kind}
        named = part(field.encode(), image, b'; filename="' + value.replace(b'"', b"") + b'"')
        send("POST", url, content=named + b"--b--\r\n", headers=headers)
        good = b"Experiment Name,Learning Rate,Momentum,Loss\r\n"
        send(
            "POST",
            url,
            content=part(b"file", good, b'; filename="' + value[:300] + b'"') + b"--b--\r\n",
            headers=headers,
        )
        for other in others:
            send("POST", url, content=named + part(other, value) + b"--b--\r\n", headers=headers)
            send("POST", url, content=part(field.encode(), value) + part(other, value), headers=headers)


def part(name: bytes, value: bytes, more: bytes = b"") -> bytes:
    """A part of a form whose boundary is `b`."""
    return (
        b'--b\r\nContent-Disposition: form-data; name="' + name + b'"' + more + b"\r\n\r\n" + value + b"\r\n"
    )


def test_values_in_headers(send: Send, operations: list[Operation]) -> None:
    for method, path, _ in operations:
        if method in ("GET", "POST"):
            for name, value in itertools.product(HEADERS, HEADER_VALUES):
                body = b"{}" if method == "POST" else b""
                send(method, filled(path), headers=[(name.encode(), value)], content=body)


CURSORS: list[object] = [
    None, True, False, 1, -1, 1.5, 10**400, "x", "", "a\0b", "\ud800", "a" * 41, "digits", [], {},
    "2020-01-01", "9999-99-99", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", float("nan"),
    float("inf"), 2**63, -(2**63),
]  # fmt: skip
SORTS = ["created_at", "name", "metrics.loss", "params.lr"]


def test_cursors_made_by_hand(send: Send) -> None:
    identities = [1, True, False, -1, 2**63 - 1, 2**63, 10**30, 1.0, "1", None, [], "\ud800"]
    for field, sign, value in itertools.product(SORTS, ("", "-"), CURSORS):
        sort = sign + field
        listing = hashlib.sha256(
            Listing(sort=sort).model_dump_json(exclude={"columns"}).encode()
        ).hexdigest()[:16]
        for identity in identities if value in ("digits", "2020-01-01", 1.5) else [1]:
            made = base64.urlsafe_b64encode(json.dumps([listing, identity, value]).encode()).decode()
            send("GET", "/v1/experiments", params={"sort": sort, "cursor": made})
    for raw in (
        b"",
        b"[",
        b"null",
        b"1",
        b"{}",
        b'"abc"',
        b"[1,2,3]",
        b"\xff",
        b"[" * 300,
        b"9" * 300,
        b'["name",{},{}]',
    ):
        cursor = base64.urlsafe_b64encode(raw).decode()
        send("GET", "/v1/experiments", params={"sort": "name", "cursor": cursor})
