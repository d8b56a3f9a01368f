"""Holds what a fake API answers against the real one's OpenAPI document."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from metadata_api.app import create_app
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth

Json = dict[str, Any]


def faults(method: str, path: str, status: int, body: object) -> list[str]:
    """Each difference between the JSON of an answer and the document, as a line."""
    operation = _operation(method, path)
    if operation is None:
        return [f"{method} {path} is no address of the API"]
    if status >= 400:
        is_error = isinstance(body, dict) and body.keys() == {"error", "detail"}
        return [] if is_error else [f"{method} {path}: {body} is not {{error, detail}}"]
    if str(status) not in operation["responses"]:
        return [f"{method} {path}: {status} is not one of {list(operation['responses'])}"]
    content = operation["responses"][str(status)].get("content")
    if content is None:
        return [] if body is None else [f"{method} {path}: {status} has no body"]
    schema = {**content["application/json"]["schema"], "components": _document()["components"]}
    return [
        f"{method} {path}: {error.json_path}: {error.message[:300]}"
        for error in Draft202012Validator(schema).iter_errors(body)
    ]


def closed(schema: Any) -> Any:
    """A schema in which objects have no other properties than those that it names: a renamed field is a fault."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if "properties" in found and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


@cache
def _document() -> Json:
    nowhere = Path("/nonexistent")
    url = "postgresql+psycopg2://nobody@127.0.0.1:9/none"
    settings = Settings(
        auth=Auth(mode="off"), database_url=url, store_dir=nowhere, serving_models_file=nowhere
    )
    return dict(closed(create_app(settings).openapi()))


def _operation(method: str, path: str) -> Json | None:
    for template, operations in _document()["paths"].items():
        if method.lower() in operations and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return dict(operations[method.lower()])
    return None
