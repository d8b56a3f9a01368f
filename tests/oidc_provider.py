"""A real OpenID provider in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.ports import free_port
from tests.waiting import until


@contextmanager
def running_provider(log: Path, *users: Mapping[str, str]) -> Iterator[str]:
    """Yields its address once it answers; `users` are claims of those whom it knows."""
    port = free_port()
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)]
    for user in users:
        command += ["--user-claims", json.dumps(user)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    address = f"http://localhost:{port}"
    try:
        until(
            lambda: process.poll() is not None or _is_there(address),
            lambda: f"the provider answers: {log.read_text()}",
            30,
        )
        assert process.poll() is None, log.read_text()
        yield address
    finally:
        process.terminate()
        process.wait(10)


def _is_there(address: str) -> bool:
    try:
        return httpx.get(f"{address}/jwks").is_success
    except httpx.TransportError:
        return False
