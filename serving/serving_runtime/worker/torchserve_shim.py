"""What TorchServe starts in place of a Python interpreter: it requests a worker from the fork server and ends with it.

Runs with `python -I -S`, standard library only, so that it starts in 15 ms:

    torchserve_shim.py FORKSERVER_SOCKET PID_FILE SCRIPT ARGUMENT...
"""

import json
import os
import socket
import sys
import time

_PATIENCE_SECONDS = 60  # the fork server imports PyTorch while Java starts


def main() -> int:
    """Hand our standard streams, environment and folder to a new worker; return when it is gone."""
    forkserver, pid_file, *argv = sys.argv[1:]
    connection = _connect(forkserver)
    request = {"argv": argv, "env": dict(os.environ), "cwd": os.getcwd(), "pid_file": pid_file}
    socket.send_fds(connection, [b"{"], [0, 1, 2])
    connection.sendall(json.dumps(request).encode()[1:] + b"\n")
    for descriptor in (0, 1, 2):
        os.close(descriptor)
    connection.recv(1)
    return 1


def _connect(path: str) -> socket.socket:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
            return connection
        except OSError:
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
