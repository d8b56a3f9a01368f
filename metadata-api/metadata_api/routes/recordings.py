"""Takes recorded v2 traffic as CloudEvents, from servers of models and from KServe's agent."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from metadata_api import recording_keys
from metadata_api.auth.access import by_key
from metadata_api.errors import NotFound, responses
from metadata_api.limits import max_body
from metadata_api.recordings import events
from metadata_api.routes.dependencies import ComponentsDep
from metadata_api.schemas.fields import NameInPath

router = APIRouter(prefix="/v1/recordings", tags=["recordings"])
BATCH_BYTES = 16 * 1024 * 1024
# Its text, what is read of it, and the bodies in the queue.
COPIES = 4
# Below that a body is read between two requests, else in a thread.
SMALL_BYTES = 16 * 1024


class Taken(BaseModel):
    """How many events were taken; they are recorded within a second."""

    events: int


@router.post(
    "/{deployment}/{key}", status_code=202, dependencies=[by_key()], responses=responses(400, 404, 413)
)
@max_body(lambda largest: max(BATCH_BYTES, largest.inference_bytes), copies=COPIES)
async def take_events(
    of: ComponentsDep, request: Request, deployment: NameInPath, key: Annotated[str, Path(max_length=200)]
) -> Taken:
    """Take CloudEvents of a deployment whose traffic is recorded: one in binary or structured mode, or a batch.

    503 says that the queue is full: send them again. What is recorded under one id is recorded once.
    """
    found = (await of.routes.current()).deployments.get(deployment)
    if (
        found is None
        or not found.recording.rate
        or not recording_keys.check(of.serving_token, deployment, key)
    ):
        raise NotFound(
            "recording_unknown", "Nothing is recorded at this address. Switch it on, or correct the address."
        )
    body = await request.body()
    if len(body) <= SMALL_BYTES:
        read = events.read(deployment, request.headers, body)
    else:
        read = await run_in_threadpool(events.read, deployment, request.headers, body)
    of.recorder.offer(deployment, read, answers=found.recording.answers)
    return Taken(events=len(read))
