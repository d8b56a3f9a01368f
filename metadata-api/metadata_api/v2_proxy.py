"""v2 under names that have no address of their own: an alias, a version of an experiment, or any deployment.

Called by the route for /v2. A request is passed on as it came to the server that answers for the name, and so is the
answer, which names the deployment and the version that gave it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from sqlalchemy import select
from sqlalchemy.orm import Session

from metadata_api import aliases
from metadata_api.database.tables import Deployment, Experiment, ModelVersion
from metadata_api.errors import BadAnswer, Conflict, DeadlineExceeded, Invalid, NotFound, Unavailable

_ACTIONS = "infer|ready|config|stats"
# Nothing else is passed on: what a client writes becomes part of an address inside.
_PATH = re.compile(rf"([^/]+)(?:/versions/([0-9]{{1,9}}))?(?:/({_ACTIONS}))?")
# The longest that a server lets a request wait, and a little for the way.
_TIMEOUT = httpx.Timeout(35.0, connect=3.0)
_MAX_RESPONSE_BYTES = 64 * 1024 * 1024
_REQUEST_HEADERS = ("content-type", "content-encoding", "inference-header-content-length")
_RESPONSE_HEADERS = (*_REQUEST_HEADERS, "retry-after", "vary", "allow", "accept-encoding")


@dataclass(frozen=True)
class Address:
    """Where a request goes: the deployment, and the path below `/v2/models/` of its server."""

    deployment: str
    path: str


@dataclass(frozen=True)
class ProxiedResponse:
    """An answer as it came, its body still packed if it was."""

    status: int
    headers: dict[str, str]
    body: bytes


def find(session: Session, path: str) -> Address:
    """Who answers for `NAME[/versions/VERSION][/ACTION]`; raises NotFound, and Conflict for what is not served.

    NAME is a deployment, an alias, or, with a version, an experiment, in this order.
    """
    parts = _PATH.fullmatch(path)
    if parts is None:
        raise NotFound("not_found", f"The address is not /v2/models/NAME[/versions/NUMBER][/{_ACTIONS}].")
    name, version, action = parts.groups("")
    found = _deployed(session, name) or _aliased(session, name, version)
    if found is None and version:
        found = _of_experiment(session, name, version)
    if found is None:
        raise NotFound("model_unknown", _unknown(name, version))
    deployment, number, desired = found
    if desired != "running":
        raise Conflict("deployment_stopped", f"Deployment {deployment} is stopped. Start it first.")
    number = version or number
    target = f"{deployment}/versions/{number}" if number else deployment
    return Address(deployment, f"{target}/{action}" if action else target)


async def forward(
    client: httpx.AsyncClient,
    serving_url: str,
    address: Address,
    method: str,
    headers: Mapping[str, str],
    body: bytes,
) -> ProxiedResponse:
    """Ask the server behind `serving_url`; raises Invalid, Unavailable, DeadlineExceeded and BadAnswer."""
    url = f"{serving_url.replace('{name}', address.deployment)}/v2/models/{address.path}"
    sent = {key: headers[key] for key in _REQUEST_HEADERS if key in headers}
    # httpx would ask for packed answers by itself, which this client may not read.
    sent["accept-encoding"] = headers.get("accept-encoding", "identity")
    if unprintable := [key for key, value in sent.items() if not _printable(value)]:
        raise Invalid("bad_header", f"The header {unprintable[0]} has other characters than printable ASCII.")
    request = client.build_request(method, url, headers=sent, content=body or None, timeout=_TIMEOUT)
    try:
        response = await client.send(request, stream=True)
        try:
            content = await _read(response)
        finally:
            await response.aclose()
    except httpx.ConnectTimeout as error:
        raise _away(address) from error
    except httpx.TimeoutException as error:
        raise DeadlineExceeded(
            "deadline_exceeded", f"{address.deployment} did not answer within {_TIMEOUT.read:.0f} s."
        ) from error
    except httpx.TransportError as error:
        raise _away(address) from error
    received = {key: response.headers[key] for key in _RESPONSE_HEADERS if key in response.headers}
    if unprintable := [key for key, value in received.items() if not _printable(value)]:
        raise BadAnswer(
            "bad_answer", f"The model's answer has other characters than printable ASCII in {unprintable[0]}."
        )
    return ProxiedResponse(response.status_code, received, content)


def _printable(value: str) -> bool:
    return value.isascii() and value.replace("\t", " ").isprintable()


async def _read(response: httpx.Response) -> bytes:
    pieces = []
    size = 0
    async for piece in response.aiter_raw():
        size += len(piece)
        if size > _MAX_RESPONSE_BYTES:
            raise BadAnswer("bad_answer", f"The model's answer has more than {_MAX_RESPONSE_BYTES:,} bytes.")
        pieces.append(piece)
    return b"".join(pieces)


def _away(address: Address) -> Unavailable:
    return Unavailable("model_unreachable", f"The server of {address.deployment} does not answer. Try again.")


_Found = tuple[str, str, str]  # deployment, version to ask for or empty, desired state


def _deployed(session: Session, name: str) -> _Found | None:
    desired = session.scalar(select(Deployment.desired).where(Deployment.name == name))
    return (name, "", desired) if desired else None


def _aliased(session: Session, name: str, version: str) -> _Found | None:
    """The deployment that an alias points at, unless it is asked for another version than the alias'."""
    found = aliases.find(session, name)
    if found is None or version not in ("", str(found.version)):
        return None
    if found.stale:
        raise Conflict("alias_stale", found.stale)
    return found.deployment, str(found.version), found.desired


def _of_experiment(session: Session, name: str, version: str) -> _Found | None:
    """The first running deployment of an experiment's version, or a stopped one."""
    row = session.execute(
        select(Deployment.name, Deployment.desired)
        .join(Experiment, Deployment.experiment_id == Experiment.id)
        .join(ModelVersion, Deployment.version_id == ModelVersion.id)
        .where(Experiment.name == name, ModelVersion.number == int(version))
        .order_by(Deployment.desired != "running", Deployment.name)
        .limit(1)
    ).one_or_none()
    return (row.name, version, row.desired) if row else None


def _unknown(name: str, version: str) -> str:
    if version:
        return (
            f"There is no deployment {name[:64]!r}, no alias of that name at version {version[:20]!r}, and no "
            "deployment of such an experiment's version. See /v1/deployments and /v1/aliases."
        )
    return f"There is no deployment or alias {name[:64]!r}. See /v1/deployments and /v1/aliases."
