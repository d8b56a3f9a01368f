"""The bodies of `POST /v1/predictions`: a form with a file, or JSON with an input of any other kind."""

from functools import cache
from typing import Annotated, Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError, create_model
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from metadata_api.deploying.base import WAY_SECONDS
from metadata_api.errors import Invalid, UnsupportedMedia
from metadata_api.limits import JSON_COPIES
from metadata_api.memory import charge_soon
from metadata_api.predicting import inputs
from metadata_api.predicting.predictions import PredictionRequest
from metadata_api.predicting.targets import Selection
from metadata_api.schemas.fields import SHA256, Body, Name
from serving_runtime.contracts import RESPONSE_SECONDS_BOUNDS

MAX_DEADLINE_MS = 1000 * (RESPONSE_SECONDS_BOUNDS[1] + int(WAY_SECONDS))
# How often the route holds a form in memory, as `max_body` has it.
FORM_COPIES = 3
CLIENT_HEADER = "marina-client"
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
JSON = "application/json"
Names = Annotated[list[Name], Field(max_length=200)]


class _Request(Body):
    """Whom to ask about a stored input; those named are asked once each, and nobody named means all that can."""

    input_sha256: Annotated[str | None, Field(pattern=SHA256, description="Of a stored input.")] = None
    deployments: Names = []
    aliases: Names = []
    experiments: Annotated[Names, Field(description="Their running deployments.")] = []
    deadline_ms: Annotated[
        int | None, Field(ge=100, le=MAX_DEADLINE_MS, description="None is what each deployment may take.")
    ] = None


@cache
def json_model() -> type[_Request]:
    """The JSON body, with a field for each kind of input that can stand in JSON."""
    fields: dict[str, Any] = {
        name: (kind.BODY | None, None) for name, kind in inputs.kinds().items() if kind.BODY is not None
    }
    return create_model("PredictionBody", __base__=_Request, **fields)


def request_body() -> dict[str, Any]:
    """Both bodies as OpenAPI describes them."""
    form = _schema(_Request)
    files = {name: {"type": "string", "format": "binary"} for name in _file_kinds()}
    form["properties"] = {**files, **form["properties"]}
    content = {FORMS[0]: {"schema": form}, JSON: {"schema": _schema(json_model())}}
    return {"requestBody": {"required": True, "content": content}}


async def read(request: Request, wanted_by: frozenset[str] | None) -> PredictionRequest:
    """What a request asks; `wanted_by` are the deployments that its caller is limited to.

    Raises RequestValidationError, Invalid unless there is exactly one input, and UnsupportedMedia.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not media_type and not await request.body():
        media_type = FORMS[0]
    files: dict[str, bytes] = {}
    try:
        if media_type in FORMS:
            fields, files = await _form(request)
            asked = _Request.model_validate(fields)
        elif media_type == JSON:
            body = await request.body()
            await charge_soon((JSON_COPIES - FORM_COPIES) * len(body))
            asked = await run_in_threadpool(json_model().model_validate_json, body)
        else:
            raise _unsupported(media_type)
    except ValidationError as error:
        found = [{**item, "loc": ("body", *item["loc"])} for item in error.errors(include_context=False)]
        raise RequestValidationError(found) from None
    kinds = {name: value for name in inputs.kinds() if (value := getattr(asked, name, None)) is not None}
    sent = {**files, **kinds}
    if len(sent) + (asked.input_sha256 is not None) != 1:
        names = ", ".join(inputs.kinds())
        raise Invalid(
            "input_missing", f"Send exactly one input: {names}, or the `input_sha256` of a stored one."
        )
    kind, value = next(iter(sent.items()), ("", None))
    selection = Selection(asked.deployments, asked.aliases, asked.experiments, wanted_by)
    source = "ui" if request.headers.get(CLIENT_HEADER) == "ui" else "api"
    return PredictionRequest(kind, value, asked.input_sha256, selection, asked.deadline_ms, source)


async def _form(request: Request) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The fields of a form, and the files that are inputs."""
    fields: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    try:
        form = await request.form(max_files=1)
    except (ValueError, LookupError):  # a character set that there is not, or other text than it says
        raise Invalid(
            "body_unreadable", f"The form cannot be read. Send it as {FORMS[0]} in UTF-8."
        ) from None
    try:
        if any(name.lstrip().startswith("{") for name in form):  # what curl makes of `-d '{...}'`
            raise _unsupported(FORMS[1])
        for name in form:
            values = [value for value in form.getlist(name) if value != ""]
            first = values[0] if values else None
            if name in _file_kinds() and isinstance(first, UploadFile):
                files[name] = await first.read()
            elif name in ("deployments", "aliases", "experiments"):
                fields[name] = values
            elif values:
                fields[name] = values[-1]
    finally:
        await form.close()
    return fields, files


def _unsupported(media_type: str) -> UnsupportedMedia:
    said = f"is {media_type[:100]}" if media_type else "is missing"
    return UnsupportedMedia(
        "body_unsupported",
        f"The header Content-Type {said}. Send a text, a row or tensors with Content-Type: {JSON}, "
        f"and a file as {FORMS[0]}.",
    )


def _file_kinds() -> list[str]:
    return [name for name, kind in inputs.kinds().items() if kind.BODY is None]


def _schema(model: type[_Request]) -> dict[str, Any]:
    """A model's schema with what it refers to in place, as it stands outside the document's components."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})

    def inlined(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return inlined(parts[value["$ref"].rpartition("/")[2]])
            return {key: inlined(item) for key, item in value.items()}
        return [inlined(item) for item in value] if isinstance(value, list) else value

    found: dict[str, Any] = inlined(schema)
    return found
