"""Recorded traffic for tests: events as the front sends them, and deployments that record."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from metadata_api import recording_keys
from metadata_api.database.prediction_tables import Prediction
from metadata_api.database.tables import Deployment
from metadata_api.recordings.recorder import Recorder
from serving_runtime.contracts import EVENT_OF_REQUEST, EVENT_OF_RESPONSE
from tests.metadata_api.making import make_deployment
from tests.waiting import until

Json = dict[str, Any]
BATCH = {"content-type": "application/cloudevents-batch+json"}
LABELS = ["cat", "dog"]
NUMBERS = [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]
PROBABILITIES = [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "kind": "probabilities"}]


def recording_deployment(engine: Engine, name: str = "pets", **setting: Any) -> None:
    """A deployment whose traffic is recorded; it takes three numbers and knows two classes, unless told otherwise."""
    version: Json = {"inputs": NUMBERS, "outputs": PROBABILITIES, "labels": LABELS}
    version |= {key: setting.pop(key) for key in list(setting) if key in version}
    make_deployment(engine, name, **version)
    record(engine, name, **setting)


def record(engine: Engine, name: str, **setting: Any) -> None:
    """Set what a deployment records."""
    with Session(engine) as session, session.begin():
        row = session.scalars(select(Deployment).where(Deployment.name == name)).one()
        row.recording = {"rate": 1.0, "answers": True, "retention_days": None, **setting}


def path_of(name: str = "pets", secret: str = "") -> str:
    """Where events of a deployment are sent to."""
    return f"/v1/recordings/{name}/{recording_keys.key_of(secret, name)}"


def asked(*rows: Sequence[float], datatype: str = "FP32", name: str = "x") -> Json:
    """The v2 body of a request."""
    data = [value for row in rows for value in row]
    shape = [len(rows), len(rows[0])]
    return {"inputs": [{"name": name, "datatype": datatype, "shape": shape, "data": data}]}


def answered(*shares: float, version: str = "1") -> Json:
    """The v2 body of an answer: how sure the model is of `cat`, for each row."""
    data = [value for share in shares for value in (share, 1 - share)]
    output = {"name": "probabilities", "datatype": "FP32", "shape": [len(shares), 2], "data": data}
    return {"model_name": "pets", "model_version": version, "outputs": [output]}


def event(
    identity: UUID | str, data: Json | bytes, *, answer: bool = False, ms: float = 0, **more: Any
) -> Json:
    """An event in JSON, as the front sends it; `ms` is its time after a minute ago."""
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1) + timedelta(milliseconds=ms)
    made = {
        "specversion": "1.0",
        "id": str(identity),
        "type": EVENT_OF_RESPONSE if answer else EVENT_OF_REQUEST,
        "source": "http://pets/",
        "time": at.isoformat(),
        "inferenceservicename": "pets",
        "namespace": "marina",
        "component": "predictor",
        "endpoint": "default",
        "modelversion": "1",
    }
    body: Json = {"datacontenttype": "application/json", "data": data}
    if isinstance(data, bytes):
        body = {"datacontenttype": "application/octet-stream", "data_base64": base64.b64encode(data).decode()}
    return made | body | more


def call(identity: UUID, *rows: Sequence[float], sure: float = 0.9) -> list[Json]:
    """The two events of a call that took 12 ms."""
    said = answered(*(sure for _ in rows))
    return [event(identity, asked(*rows)), event(identity, said, answer=True, ms=12)]


def calls(count: int, *, first: int = 0) -> dict[UUID, list[Json]]:
    """Calls about different inputs, by their ids."""
    return {(one := uuid4()): call(one, [number, 0, 1]) for number in range(first, first + count)}


def send(api: httpx.Client, events: Sequence[Json], name: str = "pets") -> httpx.Response:
    """Send a batch as the front does."""
    return api.post(path_of(name), content=json.dumps(list(events)), headers=BATCH)


def kept(engine: Engine, count: int, **where: Any) -> list[Prediction]:
    """The predictions once there are so many that fit, in their order."""

    def found() -> bool:
        with Session(engine) as session:
            query = select(func.count()).select_from(Prediction).filter_by(**where)
            return session.scalar(query) == count

    until(found, f"{count} predictions {where}", 20)
    with Session(engine) as session:
        return list(session.scalars(select(Prediction).filter_by(**where).order_by(Prediction.id)))


def read_again(app: FastAPI) -> None:
    """Let the application know what another has written, as it would within half a second."""
    routes = app.state.components.routes
    routes._committed()
    until(lambda: routes._read_commits >= routes._commits, "the deployments are read")


def since(recorder: Recorder, before: dict[str, int]) -> dict[str, int]:
    """What has been counted since then."""
    return {name: more for name, count in recorder.events.items() if (more := count - before.get(name, 0))}


def settled(recorder: Recorder, before: dict[str, int], expected: dict[str, int]) -> None:
    until(lambda: since(recorder, before) == expected, lambda: f"{expected}: {since(recorder, before)}", 5)
