"""The v2 inference protocol for deployments, aliases, and versions of experiments, under one address."""

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from metadata_api import v2_proxy
from metadata_api.errors import V2ErrorBody, responses

router = APIRouter(prefix="/v2/models", tags=["v2"])


@router.get("/{path:path}", responses=responses(404, 409, 502, 504, body=V2ErrorBody))
@router.post("/{path:path}", responses=responses(404, 409, 413, 502, 504, body=V2ErrorBody))
async def forward(request: Request, path: str) -> Response:
    """`NAME[/versions/VERSION]`, then nothing, `/ready`, `/config`, `/stats` or `/infer`, as the v2 protocol says.

    NAME is a deployment, an alias, or with a version an experiment, in this order. An alias is rejected by 409 while
    its deployment serves another version than the one it points at. Errors are `{error}`, as in v2.
    """
    state = request.app.state

    def find() -> v2_proxy.Address:
        with state.sessions() as session:
            return v2_proxy.find(session, path)

    body = await request.body()
    address = await run_in_threadpool(find)
    url = state.settings.serving_url.rstrip("/")
    response = await v2_proxy.forward(state.http, url, address, request.method, request.headers, body)
    return Response(response.body, response.status, response.headers)
