"""Ports of the loopback address for what a test starts, different in every process of a run."""

import os
import socket
from contextlib import suppress
from itertools import count

# Below those that the kernel gives to connections that go out: such a port could be taken before a server binds it.
LOWEST, HIGHEST = 10_000, 32_000
_numbers = count(os.getpid() * 251)


def free_port() -> int:
    """A port that nobody uses now; never the same one twice."""
    while True:
        port = LOWEST + next(_numbers) % (HIGHEST - LOWEST)
        with suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            return port
