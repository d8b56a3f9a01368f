"""What Gradio's open page asks every few seconds: whether something that it shows has changed."""

import json
from hashlib import sha256

from starlette.responses import Response

from model_ui import training
from model_ui.api_errors import ApiError
from model_ui.asgi import REVALIDATE
from model_ui.shell.page import Page
from model_ui.shell.visit import MOVING_SECONDS, Visit

MOVING = ("pending", "starting")


async def show(visit: Visit) -> Response:
    """JSON: the build of this UI, the visitor's role, a tag of all that the page shows, and when to ask again."""
    usual = visit.frame.refresh_seconds
    moving_seconds = min(usual, MOVING_SECONDS)
    trained = training.line(visit.frame.training_file)
    try:
        deployments, unregistered = await visit.shared(moving_seconds).everything_deployed()
        shown = [
            *(item.model_dump_json() for item in deployments),
            *(one.model_dump_json() for one in unregistered),
        ]
        moving = trained != "" or any(item.moves or item.observed.state in MOVING for item in deployments)
    except ApiError as error:
        shown, moving = [error.detail], True
    tag = sha256("\n".join([visit.me.subject, visit.me.role, trained, *shown]).encode()).hexdigest()[:16]
    body = {
        "build": visit.frame.build,
        "role": visit.me.role,
        "tag": tag,
        "seconds": moving_seconds if moving else usual,
    }
    written = json.dumps(body)
    headers = {"etag": f'"{sha256(written.encode()).hexdigest()[:16]}"', "cache-control": REVALIDATE.decode()}
    if visit.request.headers.get("if-none-match", "").removeprefix("W/") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(written, headers=headers, media_type="application/json")


PAGES = (Page("/pulse", show),)
