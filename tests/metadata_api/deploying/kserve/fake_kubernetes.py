"""A small Kubernetes API on a real socket: list, watch, apply, delete, reviews of tokens, and a KServe behind it.

It forgets old versions, drops watches, is away, rejects and is slow when it is told to. What it keeps is held against
the schemas of the real one, whoever wrote it.
"""

import asyncio
import copy
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from tests.asgi import Server
from tests.metadata_api.deploying.kserve import schemas
from tests.metadata_api.deploying.kserve.token_reviews import TOKEN_REVIEWS, TokenReviews

Json = dict[str, Any]
ISVC, INGRESS, ROUTE, POD = "inferenceservices", "ingresses", "httproutes", "pods"
SECRET = "secrets"
KINDS = {ISVC: "InferenceService", INGRESS: "Ingress", ROUTE: "HTTPRoute", POD: "Pod", SECRET: "Secret"}
PULLED = "kserve-container"
Refuse = Callable[[str, str, str], tuple[int, str] | None]


@dataclass
class Cluster:
    """What the API server knows: objects by (plural, name), and everything that happened to them."""

    objects: dict[tuple[str, str], Json] = field(default_factory=dict)
    history: list[tuple[int, str, str, Json]] = field(default_factory=list)
    version: int = 100
    oldest: int = 0
    """Watches from an older version are told 410."""


class FakeKubernetes:
    """`with FakeKubernetes() as kubernetes`; `kubernetes.url` is its address."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.calls: list[tuple[str, str]] = []
        self.wrong: list[str] = []
        """What the real API would not have kept so."""
        self.watches = 0
        self.reject: Refuse = rejecting()
        self.broken: dict[tuple[str, str], Json] = {}
        """(deployment, version) -> status of the pods of that version."""
        self.logs: dict[tuple[str, bool], list[str]] = {}
        """(pod, whether of its container before the restart) -> lines."""
        self.kserve = True
        """Whether there is a controller that makes pods."""
        self.tokens = TokenReviews()
        self._lock = threading.RLock()
        self._drop = 0
        app = FastAPI()
        app.add_route("/{path:path}", self._answer, methods=["GET", "PATCH", "DELETE", "POST"])
        self._server = Server(app, log_level="critical")

    @property
    def url(self) -> str:
        """Address of the API."""
        return self._server.url

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *failed: object) -> None:
        self.stop()
        assert failed[0] or not self.wrong, "\n".join(self.wrong)

    def start(self) -> None:
        """Accept connections, on the same port as before."""
        self._server.start()

    def stop(self) -> None:
        """Be away: no connection is accepted, those that there are end."""
        self.drop_watches()
        self._server.stop(at_once=True)

    def drop_watches(self) -> None:
        """End every watch in the middle of it."""
        with self._lock:
            self._drop += 1

    def forget(self) -> None:
        """Versions up to now are too old for a watch, which ends now."""
        with self._lock:
            self.cluster.version += 1
            self.cluster.oldest = self.cluster.version
        self.drop_watches()

    def names(self, plural: str) -> list[str]:
        """Names of all objects of a kind."""
        with self._lock:
            return sorted(name for kind, name in self.cluster.objects if kind == plural)

    def find(self, plural: str, name: str) -> Json:
        """A copy of an object."""
        with self._lock:
            return copy.deepcopy(self.cluster.objects[plural, name])

    def written(self, plural: str) -> list[str]:
        """Names of the objects of a kind that were applied, in order."""
        return [path.rsplit("/", 1)[1] for method, path in self.calls if method == "PATCH" and plural in path]

    def put(self, plural: str, item: Json) -> Json:
        """Make or change an object as another client would."""
        with self._lock:
            name = item["metadata"]["name"]
            old = self.cluster.objects.get((plural, name))
            item = copy.deepcopy(item)
            self.wrong += schemas.faults(plural, item)
            self.cluster.version += 1
            metadata = item["metadata"]
            metadata["resourceVersion"] = str(self.cluster.version)
            metadata["uid"] = old["metadata"]["uid"] if old else f"uid-{self.cluster.version}"
            generation = old["metadata"]["generation"] if old else 0
            changed = old is None or old.get("spec") != item.get("spec")
            metadata["generation"] = generation + changed
            metadata.setdefault("creationTimestamp", f"2026-01-01T00:00:00.{self.cluster.version:06d}Z")
            self.cluster.objects[plural, name] = item
            self.cluster.history.append(
                (self.cluster.version, plural, "MODIFIED" if old else "ADDED", copy.deepcopy(item))
            )
            return item

    def remove(self, plural: str, name: str) -> None:
        """Delete an object and what it owns."""
        with self._lock:
            item = self.cluster.objects.pop((plural, name), None)
            if item is None:
                return
            self.cluster.version += 1
            item["metadata"]["resourceVersion"] = str(self.cluster.version)
            self.cluster.history.append((self.cluster.version, plural, "DELETED", item))
            for other, owned in list(self.cluster.objects):
                references = self.cluster.objects[other, owned]["metadata"].get("ownerReferences", ())
                if any(one["uid"] == item["metadata"]["uid"] for one in references):
                    self.remove(other, owned)

    def control(self, name: str) -> None:
        """What KServe does: pods of the newest template beside or instead of the old ones, and a status.

        A rollout that fails leaves the old pods and says Ready, as the real one does.
        """
        with self._lock:
            service = self.cluster.objects[ISVC, name]
            item_labels = service["metadata"]["labels"]
            version, replicas = item_labels["marina/version"], service["spec"]["predictor"]["minReplicas"]
            template = f"{version}-{item_labels['marina/runtime']}"
            mine = [
                one
                for (plural, _), one in self.cluster.objects.items()
                if plural == POD and one["metadata"]["labels"][SERVICE] == name
            ]
            broken = self.broken.get((name, version))
            for one in mine:
                if not broken or one["metadata"]["labels"]["pod-template-hash"] == template:
                    self.remove(POD, one["metadata"]["name"])
            for number in range(1 if broken else replicas):
                self.put(POD, make_pod(service, template, number, broken))
            if service.get("status") is None or not broken:
                ready = "False" if broken else "True"
                service["status"] = status_of(ready, None if not broken else "the predictor is not ready")
                self.put(ISVC, service)

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        self.calls.append((request.method, path))
        if path == TOKEN_REVIEWS:
            rejection = await asyncio.to_thread(self.reject, request.method, "tokenreviews", "")
            return _status(*rejection) if rejection else self.tokens.review(await request.json())
        if log := re.fullmatch(r"/api/v1/namespaces/[^/]+/pods/([^/]+)/log", path):
            return self._log(log[1], request.query_params)
        found = re.fullmatch(r"/apis?/(?:[^/]+/)?[^/]+/namespaces/[^/]+/([^/]+)(?:/([^/]+))?", path)
        if not found or found[1] not in KINDS:
            return _status(404, "the server could not find the requested resource")
        plural, name = found[1], found[2] or ""
        rejection = await asyncio.to_thread(self.reject, request.method, plural, name)
        if rejection:
            return _status(*rejection)
        if request.method == "PATCH":
            return self._apply(plural, name, json.loads(await request.body()), request.query_params)
        if request.method == "DELETE":
            return self._delete(plural, name, json.loads(await request.body() or b"{}"))
        if name:
            with self._lock:
                item = self.cluster.objects.get((plural, name))
                return JSONResponse(copy.deepcopy(item)) if item else _status(404, f"{name} not found")
        chosen = _selector(request.query_params.get("labelSelector", ""))
        if request.query_params.get("watch") == "true":
            return self._watch(plural, chosen, request.query_params)
        return self._list(plural, chosen, request.query_params)

    def _log(self, pod: str, query: Any) -> Response:
        assert query["container"] == PULLED
        lines = self.logs.get((pod, query["previous"] == "true"))
        if lines is None:
            return _status(400, f'container "{PULLED}" in pod "{pod}" is waiting to start')
        tail = lines[-int(query["tailLines"]) :]
        return Response("".join(f"{line}\n" for line in tail), media_type="text/plain")

    def _list(self, plural: str, chosen: Callable[[Json], bool], query: Any) -> Response:
        with self._lock:
            items = [
                one
                for (kind, _), one in sorted(self.cluster.objects.items())
                if kind == plural and chosen(one)
            ]
            start, limit = int(query.get("continue") or 0), int(query.get("limit") or 10**6)
            metadata = {"resourceVersion": str(self.cluster.version)}
            if len(items) > start + limit:
                metadata["continue"] = str(start + limit)
            return JSONResponse({"metadata": metadata, "items": copy.deepcopy(items[start : start + limit])})

    def _watch(self, plural: str, chosen: Callable[[Json], bool], query: Any) -> Response:
        since = int(query["resourceVersion"])
        if since < self.cluster.oldest:
            return _status(410, "too old resource version")
        self.watches += 1
        return StreamingResponse(self._events(plural, chosen, since), media_type="application/json")

    async def _events(self, plural: str, chosen: Callable[[Json], bool], since: int) -> AsyncIterator[bytes]:
        drop, end = self._drop, time.monotonic() + 30
        at = 0
        while self._drop == drop and time.monotonic() < end:
            with self._lock:
                new = self.cluster.history[at:]
                at = len(self.cluster.history)
            for version, kind, what, item in new:
                if version > since and kind == plural and chosen(item):
                    yield json.dumps({"type": what, "object": item}).encode() + b"\n"
            await asyncio.sleep(0.02)
        if self._drop != drop:
            raise ConnectionResetError("the watch is dropped")

    def _apply(self, plural: str, name: str, body: Json, query: Any) -> Response:
        with self._lock:
            old = self.cluster.objects.get((plural, name))
            manager = query["fieldManager"]
            if old and _manager(old) != manager and query.get("force") != "true":
                return _status(409, f"Apply failed with 1 conflict: conflict with {_manager(old)}")
            if old is None:
                # Whoever may patch alone makes nothing by it.
                if rejection := self.reject("CREATE", plural, name):
                    return _status(*rejection)
            elif {**_content(old), **_content(body)} == _content(old) and _marks(old) == _marks(body):
                return JSONResponse(copy.deepcopy(old))
            managed = [{"manager": manager, "operation": "Apply"}]
            item = {**body, "metadata": {**body["metadata"], "managedFields": managed}}
            if old:
                item["metadata"]["creationTimestamp"] = old["metadata"]["creationTimestamp"]
                item |= {"status": old["status"]} if "status" in old else {}
            made = self.put(plural, item)
            if plural == ISVC and self.kserve:
                self.control(name)
            return JSONResponse(copy.deepcopy(made), 200 if old else 201)

    def _delete(self, plural: str, name: str, body: Json) -> Response:
        with self._lock:
            old = self.cluster.objects.get((plural, name))
            if old is None:
                return _status(404, f"{name} not found")
            uid = body.get("preconditions", {}).get("uid")
            if uid and uid != old["metadata"]["uid"]:
                return _status(409, "the uid is another one")
            if plural == ISVC:
                for other in self.names(POD):
                    if self.cluster.objects[POD, other]["metadata"]["labels"][SERVICE] == name:
                        self.remove(POD, other)
            self.remove(plural, name)
            return JSONResponse({"kind": "Status", "status": "Success"})


SERVICE = "serving.kserve.io/inferenceservice"


def rejecting(*, status: int = 0, message: str = "", **only: str) -> Refuse:
    """Answer calls of `method`, `plural`, `name`, as far as they are given, with a status; none without one."""

    def reject(method: str, plural: str, name: str) -> tuple[int, str] | None:
        asked = {"method": method, "plural": plural, "name": name}
        return (status, message) if status and only.items() <= asked.items() else None

    return reject


def make_pod(service: Json, template: str, number: int, status: Json | None = None) -> Json:
    """A pod of an InferenceService, ready unless a status says otherwise."""
    metadata = service["metadata"]
    item_labels = {**metadata["labels"], SERVICE: metadata["name"], "pod-template-hash": template}
    return {
        "metadata": {"name": f"{metadata['name']}-predictor-{template}-{number}", "labels": item_labels},
        "spec": {"containers": [{"name": PULLED, "image": "marina-serving:0.1.0"}]},
        "status": status or {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def status_of(ready: str, message: str | None = None) -> Json:
    """The status of an InferenceService."""
    said = {"message": message} if message else {}
    return {
        "conditions": [
            {"type": "PredictorReady", "status": ready, **said},
            {"type": "Ready", "status": ready},
        ]
    }


def container(name: str, **state: Json) -> Json:
    """The status of a container that is not ready."""
    states: Json = {"state": {key: value for key, value in state.items() if key != "last"}}
    if "last" in state:
        states["lastState"] = {"terminated": state["last"]}
    image = {"image": "marina-serving:0.1.0", "imageID": ""}
    return {"name": name, "ready": False, "restartCount": 0, **image, **states}


def _manager(item: Json) -> str | None:
    managed = item["metadata"].get("managedFields")
    return managed[0]["manager"] if managed else None


def _content(item: Json) -> Json:
    return item.get("spec") or item.get("data") or {}


def _marks(item: Json) -> Any:
    metadata = item["metadata"]
    return metadata.get("labels"), [one["uid"] for one in metadata.get("ownerReferences", ())]


def _selector(text: str) -> Callable[[Json], bool]:
    parts = re.findall(r"([^,\s=]+) in \(([^)]*)\)|([^,=]+)=([^,]*)|([^,]+)", text)

    def chosen(item: Json) -> bool:
        item_labels = item["metadata"].get("labels", {})
        for key_in, names, key_is, value, key in parts:
            if key_in and item_labels.get(key_in) not in names.split(","):
                return False
            if key_is and item_labels.get(key_is) != value:
                return False
            if key and key not in item_labels:
                return False
        return True

    return chosen


def _status(code: int, message: str) -> JSONResponse:
    return JSONResponse({"kind": "Status", "status": "Failure", "message": message, "code": code}, code)
