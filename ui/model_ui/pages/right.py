"""What the script beside the answers of Try sends: a label of the input that was asked about, and its undo, as JSON."""

from typing import Any

from starlette.datastructures import FormData
from starlette.responses import JSONResponse, Response

from model_ui.api_errors import ApiError
from model_ui.label_types import Label, LabelPage
from model_ui.names import decimal, input_segment
from model_ui.shell.page import Page
from model_ui.shell.visit import Visit


async def show(visit: Visit) -> Response:
    """There is nothing to see: Try is where this belongs."""
    return visit.redirect("/")


async def label(visit: Visit, form: FormData) -> Response:
    """Say what is right: what was said, and the fields of the form that takes it back."""
    task, field = str(form.get("task", "")), str(form.get("field", ""))
    value: Any = str(form.get("value", "")).strip()
    if field == "number" and (value := decimal(value)) is None:
        return _failed("Type a number.")
    try:
        path = f"/v1/inputs/{input_segment(str(form.get('sha256', '')))}/labels"
        before = await _current(visit, path, task)
        body = {"task": task, field: value, **_expected(form, "supersedes")}
        said = await visit.api.call(Label, "POST", path, json=body)
    except ApiError as error:
        return _failed(error.detail)
    # Only what was said here is taken back: by then somebody else may have said otherwise.
    undo = {"do": "take_back", "said": str(said.id)}
    if before is not None:
        undo = {"do": "label", "field": before.field, "value": before.value, "said": str(said.id)}
    return JSONResponse({"said": said.words, "undo": undo})


async def take_back(visit: Visit, form: FormData) -> Response:
    """Let it have no label again."""
    try:
        path = f"/v1/inputs/{input_segment(str(form.get('sha256', '')))}/labels"
        params = {"task": str(form.get("task", "")), **_expected(form, "label")}
        await visit.api.request("DELETE", path, params=params)
    except ApiError as error:
        return _failed(error.detail)
    return JSONResponse({"said": "", "undo": None})


def _expected(form: FormData, name: str) -> dict[str, str]:
    """The label that is still to be current, where the form says one."""
    said = str(form.get("said", ""))
    return {name: said} if said else {}


async def _current(visit: Visit, path: str, task: str) -> Label | None:
    page = await visit.api.call(LabelPage, "GET", path, params={"task": task, "limit": "1"})
    return next((one for one in page.items if one.current and one.task == task), None)


def _failed(detail: str) -> Response:
    return JSONResponse({"detail": detail}, 400)


PAGES = (Page("/right", show, {"label": label, "take_back": take_back}),)
