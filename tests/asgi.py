"""An ASGI application of the tests on a real socket, in a thread."""

import socket
import threading
from typing import Any, Self

import uvicorn

from tests.waiting import until

START_SECONDS = STOP_SECONDS = 20.0


class Server:
    """`with Server(app) as server`, or `start` and `stop`, which may follow each other again and again on one port."""

    def __init__(
        self, app: Any, port: int = 0, *, log_level: str = "warning", patience: int | None = 1, **options: Any
    ) -> None:
        """Port 0 is a free one; requests that run are given `patience` seconds at the end, None is until they end.

        `options` are further ones of uvicorn.
        """
        self._config = {"log_level": log_level, "timeout_graceful_shutdown": patience, **options}
        self._app = app
        self._server: uvicorn.Server | None = None
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Return when it accepts connections."""
        listening = socket.create_server(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        self._server = server = uvicorn.Server(uvicorn.Config(self._app, **self._config))
        self._thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()
        until(
            lambda: server.started or not self._thread.is_alive(),
            f"the server on {self.url} starts",
            START_SECONDS,
        )
        assert server.started, f"the server on {self.url} ended"
        return self

    def stop(self, *, at_once: bool = False) -> None:
        """Return when its port is free again; `at_once` waits for no request."""
        if self._server is None:
            return
        self._server.should_exit, self._server.force_exit = True, at_once
        self._server = None
        self._thread.join(STOP_SECONDS)
        assert not self._thread.is_alive(), f"the server on {self.url} did not stop"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
