"""A thin client of the Kubernetes API: objects of a namespace as plain dicts, and reviews of tokens.

Written on httpx instead of the official client, which costs more memory than the whole API: see
docs/adr/0016-kubernetes-client-over-httpx.md. Every call has a deadline.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import orjson

Json = dict[str, Any]
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
FIELD_MANAGER = "marina-metadata-api"
CALL_SECONDS = 10.0
CONNECT_SECONDS = 3.0
# A page of InferenceServices is half a megabyte; a thousand at once would be 100 MB of Python objects.
PAGE = 100
# The server ends a watch after this time; a connection that died without a word is noticed a little later.
WATCH_SECONDS = 30
AT_ONCE = 20
MAX_POD_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Kind:
    """A kind of object: how it is written and where its collection is."""

    group: str
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        """As it stands in an object."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str, name: str = "") -> str:
        """Address of the collection in a namespace, or of one object."""
        root = f"/apis/{self.group}" if self.group else "/api"
        collection = f"{root}/{self.version}/namespaces/{namespace}/{self.plural}"
        return f"{collection}/{name}" if name else collection


INFERENCE_SERVICE = Kind("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices")
INGRESS = Kind("networking.k8s.io", "v1", "Ingress", "ingresses")
HTTP_ROUTE = Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
POD = Kind("", "v1", "Pod", "pods")
POD_LOG = Kind("", "v1", "Pod", "pods/log")
SECRET = Kind("", "v1", "Secret", "secrets")
# Of the cluster, not of a namespace; nothing is stored.
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"


class ClusterError(Exception):
    """A call did not do what it should; the text is for people."""


class ClusterAway(ClusterError):
    """No answer in time, or only that it cannot work now."""


class ClusterRejected(ClusterError):
    """The Kubernetes API understood and said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Cluster:
    """One namespace of a cluster."""

    def __init__(
        self,
        url: str,
        namespace: str,
        *,
        token_file: Path | None = None,
        ca_file: Path | None = None,
        pod_headers: Mapping[str, str] | None = None,
    ) -> None:
        self.namespace = namespace
        self._pod_headers = pod_headers or {}
        self._token_file = token_file
        # One for all clients: to read the certificates of the authorities takes longer than a call.
        own = ssl.create_default_context(cafile=str(ca_file)) if ca_file else None
        self._verify = own or httpx.create_ssl_context(trust_env=False)
        limits = httpx.Limits(max_connections=AT_ONCE + 4, max_keepalive_connections=AT_ONCE)
        self._http = httpx.AsyncClient(
            base_url=url,
            verify=self._verify,
            limits=limits,
            timeout=httpx.Timeout(CALL_SECONDS, connect=CONNECT_SECONDS),
            trust_env=False,
        )

    @classmethod
    def of_this_pod(cls, namespace: str, *, pod_headers: Mapping[str, str] | None = None) -> Self:
        """The cluster that this process runs in, by its service account; raises ClusterError outside of one."""
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
        if not host or not port or not (ACCOUNT / "token").exists():
            raise ClusterError(
                "there is no service account of Kubernetes here: set METADATA_API_KUBERNETES_URL, "
                "for example to that of `kubectl proxy`"
            )
        host = f"[{host}]" if ":" in host else host
        return cls(
            f"https://{host}:{port}",
            namespace,
            token_file=ACCOUNT / "token",
            ca_file=ACCOUNT / "ca.crt",
            pod_headers=pod_headers,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def list(self, kind: Kind, selector: str, take: Callable[[Json], None]) -> str:
        """Give every object to `take`, page by page; returns the version from which a watch goes on."""
        following = ""
        while True:
            query = {"labelSelector": selector, "limit": str(PAGE)}
            if following:
                query["continue"] = following
            page = await self._call("GET", kind.path(self.namespace), params=query)
            for item in page.get("items") or ():
                take(item)
            following = page["metadata"].get("continue") or ""
            if not following:
                return str(page["metadata"].get("resourceVersion") or "")

    async def watch(self, kind: Kind, selector: str, version: str) -> AsyncIterator[tuple[str, Json]]:
        """Changes since a version as (type, object); ends by itself after half a minute of quiet or not.

        A BOOKMARK only brings a newer version. Raises ClusterRejected(410) when the version is too old.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "labelSelector": selector,
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        timeout = httpx.Timeout(WATCH_SECONDS + CALL_SECONDS, connect=CONNECT_SECONDS)
        with _as_away():
            async with self._http.stream(
                "GET", kind.path(self.namespace), params=query, headers=self._headers(), timeout=timeout
            ) as answer:
                if answer.status_code != 200:
                    raise _error(answer.status_code, await answer.aread())
                async for line in answer.aiter_lines():
                    if not line:
                        continue
                    event = _decoded(line)
                    if event.get("type") == "ERROR":
                        raise _error(int(event["object"].get("code") or 500), orjson.dumps(event["object"]))
                    yield event["type"], event["object"]

    async def get(self, kind: Kind, name: str) -> Json | None:
        """One object, or None."""
        try:
            return await self._call("GET", kind.path(self.namespace, name))
        except ClusterRejected as error:
            if error.status == 404:
                return None
            raise

    async def log(self, pod: str, container: str, *, lines: int, max_bytes: int, previous: bool) -> bytes:
        """The last lines of a container, of which the last `max_bytes`; with `previous` of its end before a restart."""
        query = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
        path, kept = f"{POD.path(self.namespace, pod)}/log", b""
        with _as_away():
            async with (
                asyncio.timeout(CALL_SECONDS),
                self._http.stream("GET", path, params=query, headers=self._headers()) as answer,
            ):
                if answer.status_code != 200:
                    raise _error(answer.status_code, await answer.aread())
                async for piece in answer.aiter_bytes():
                    kept = (kept + piece)[-max_bytes:]
        return kept

    async def apply(self, kind: Kind, body: Json, *, force: bool) -> Json:
        """Server-side apply; returns the object as it is now. Without `force` fields of others are a 409."""
        return await self._call(
            "PATCH",
            kind.path(self.namespace, body["metadata"]["name"]),
            params={"fieldManager": FIELD_MANAGER, "force": str(force).lower()},
            content=orjson.dumps(body),
            headers={"Content-Type": "application/apply-patch+yaml"},
        )

    async def delete(self, kind: Kind, name: str, uid: str) -> None:
        """Delete this very object and, in the background, what it owns; nothing happens if it is gone."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            await self._call(
                "DELETE",
                kind.path(self.namespace, name),
                content=orjson.dumps(body),
                headers={"Content-Type": "application/json"},
            )
        except ClusterRejected as error:
            if error.status not in (404, 409):
                raise

    async def review_token(self, token: str, audience: str) -> Json:
        """Status of a TokenReview: whose the token is, if it is good for the audience."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [audience]},
        }
        review = await self._call(
            "POST",
            TOKEN_REVIEWS,
            content=orjson.dumps(body),
            headers={"Content-Type": "application/json"},
        )
        status = review.get("status")
        return status if isinstance(status, dict) else {}

    async def ask(self, url: str, seconds: float) -> bytes:
        """Body of a GET to a pod of ours, of at most a mebibyte; raises ClusterAway.

        It gets the token for models, none of Kubernetes.
        """
        with _as_away():
            client = httpx.AsyncClient(verify=self._verify, trust_env=False)
            async with asyncio.timeout(seconds), client as http:
                headers = {**self._pod_headers, "Accept-Encoding": "identity"}
                async with http.stream("GET", url, headers=headers, timeout=seconds) as answer:
                    answer.raise_for_status()
                    return await _bounded(answer)

    async def _call(self, method: str, path: str, **options: Any) -> Json:
        headers = {**self._headers(), **options.pop("headers", {})}
        with _as_away():
            async with asyncio.timeout(CALL_SECONDS):
                answer = await self._http.request(method, path, headers=headers, **options)
        if not answer.is_success:
            raise _error(answer.status_code, answer.content)
        return _decoded(answer.content)

    def _headers(self) -> dict[str, str]:
        # The token is renewed in its file every hour.
        if self._token_file is None:
            return {}
        return {"Authorization": f"Bearer {self._token_file.read_text().strip()}"}


async def _bounded(answer: httpx.Response) -> bytes:
    """The body as it came, never unpacked: a model's code may have sent it. Raises ClusterAway when it is long."""
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > MAX_POD_BYTES:
            raise ClusterAway(f"a pod answered more than {MAX_POD_BYTES:,} bytes")
    return bytes(body)


@contextmanager
def _as_away() -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, TimeoutError, OSError) as error:
        said = str(error) or type(error).__name__
        raise ClusterAway(f"the Kubernetes API does not answer ({said})") from error


def _decoded(content: bytes | str) -> Json:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ClusterAway(f"the Kubernetes API's answer is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise ClusterAway("the Kubernetes API's answer is not a JSON object")
    return found


def _error(status: int, content: bytes) -> ClusterError:
    try:
        message = str(orjson.loads(content)["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        message = content[:300].decode(errors="replace") or f"status {status}"
    if status == 429 or status >= 500:
        return ClusterAway(f"the Kubernetes API cannot work now ({status}: {message})")
    return ClusterRejected(status, message)
