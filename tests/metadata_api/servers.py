"""Servers for tests: the API on a real socket, and a small v2 server that behaves as badly as it is told."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from fastapi import FastAPI

from metadata_api.__main__ import OPTIONS
from metadata_api.app import create_app
from metadata_api.deploying.intervals import Intervals
from metadata_api.settings import Settings
from tests.asgi import Server

Reply = tuple[int, bytes] | None
Behaviour = Callable[[dict[str, Any]], Awaitable[Reply]]
LABELS = [str(digit) for digit in range(10)]


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """The application as its program serves it, on a free port; yields its address."""
    with Server(app, patience=None, **OPTIONS) as server:
        yield server.url


@contextmanager
def standing_still(settings: Settings) -> Iterator[str]:
    """The same without the rounds of its loop, which would write down that nothing runs."""
    with running(create_app(settings, Intervals(reconcile=3600.0, longest_pause=3600.0))) as address:
        yield address


class V2Server:
    """Just enough HTTP for `POST /v2/models/NAME/infer` and `GET /status`, with one behaviour per model."""

    def __init__(self) -> None:
        self.models: dict[str, Behaviour] = {}
        self.status: Callable[[], bytes] = lambda: b'{"models": []}'
        self.documents: dict[str, Callable[[], bytes]] = {}
        """What other addresses answer."""
        self.requests: list[dict[str, Any]] = []
        self.binary: list[bytes] = []
        """What followed the JSON of each of them."""
        self.paths: list[str] = []
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.silence()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def listen(self) -> None:
        """Accept connections, on the same port as before."""
        self._run(self._listen())

    def silence(self) -> None:
        """Refuse connections and drop those that there are, as a process that was killed."""
        self._run(self._silence())

    def _run(self, what: Any) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _silence(self) -> None:
        assert self._server
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
                body = await reader.readexactly(int(lines.get("content-length", 0)))
                size = lines.get("inference-header-content-length")
                reply = await self._reply(head.split(" ")[1], body, int(size) if size else len(body))
                if reply is None:
                    return
                status, content = reply
                writer.write(
                    b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (status, len(content)) + content
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            with suppress(RuntimeError):
                writer.transport.abort()

    async def _reply(self, path: str, body: bytes, json_size: int) -> Reply:
        if path == "/status":
            return 200, self.status()
        if path in self.documents:
            return 200, self.documents[path]()
        name = path.split("/")[3]
        request = json.loads(body[:json_size])
        self.requests.append(request)
        self.binary.append(body[json_size:])
        self.paths.append(path)
        return await self.models[name](request)


class Front:
    """What `V2Server` says of its status: that of the models file, as the serving front does; `states` may differ."""

    def __init__(self, models_file: Path) -> None:
        self.models_file = models_file
        self.states: dict[str, dict[str, Any]] = {}

    def models(self) -> list[dict[str, Any]]:
        """What the file says now."""
        return list(json.loads(self.models_file.read_text())["models"])

    def desired(self) -> dict[str, str]:
        """Versions by name, as the file has them now."""
        return {model["name"]: model["version"] for model in self.models()}

    def status(self) -> bytes:
        """Everything in the file is ready unless `states` knows better."""
        models = [
            {
                "name": model["name"],
                "desired_version": model["version"],
                "live_version": model["version"],
                "state": "ready",
                "reason": None,
                "restarts": 0,
                "runtime": model["runtime"],
                **self.states.get(model["name"], {}),
            }
            for model in self.models()
        ]
        return json.dumps({"models": models}).encode()


def answers(
    label: str = "5", *, version: str = "1", seconds: float = 0, labels: list[str] = LABELS, **outputs: Any
) -> Behaviour:
    """Say `label` with 91 %, after a while; `outputs` replaces or adds outputs as (datatype, data)."""
    rest = 0.09 / (len(labels) - 1)
    tensors: dict[str, tuple[str, list[Any]]] = {
        "probabilities": ("FP32", [0.91 if one == label else rest for one in labels]),
        "label": ("BYTES", [label]),
        "preprocessed": ("UINT8", list(range(256)) * 3 + [255] * 16),
        **outputs,
    }
    shapes = {"preprocessed": [1, 28, 28]}
    listed = [
        {"name": name, "datatype": datatype, "shape": shapes.get(name, [1, len(data)]), "data": data}
        for name, (datatype, data) in tensors.items()
    ]
    return says(
        json.dumps({"model_name": "m", "model_version": version, "outputs": listed}).encode(), seconds
    )


def says(content: bytes, seconds: float = 0) -> Behaviour:
    """Answer 200 with these bytes."""

    async def behave(request: dict[str, Any]) -> Reply:
        await asyncio.sleep(seconds)
        return 200, content

    return behave


def rejects(status: int, text: str, code: str | None = None) -> Behaviour:
    """Answer an error as the serving front does; without a code, as what stands before it does."""

    async def behave(request: dict[str, Any]) -> Reply:
        said = {"error": text} if code is None else {"error": text, "code": code}
        return status, json.dumps(said).encode()

    return behave


def hangs() -> Behaviour:
    """Take the request and never answer."""

    async def behave(request: dict[str, Any]) -> Reply:
        await asyncio.sleep(600)
        return None

    return behave


def closes() -> Behaviour:
    """Take the request and close the connection."""

    async def behave(request: dict[str, Any]) -> Reply:
        return None

    return behave
