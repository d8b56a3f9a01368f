"""What TorchServe starts in place of a Python interpreter: it requests a worker from the fork server and ends with it.

Runs with `python -I -S`, standard library only, so that it starts in 15 ms:

    torchserve_shim.py FORKSERVER_SOCKET JOB_FILE SCRIPT ARGUMENT...
"""

import json
import os
import socket
import sys
import time

_PATIENCE_SECONDS = 60  # the fork server imports PyTorch while Java starts


def main() -> int:
    """Hand our standard streams, environment and folder to a new worker; return when it is gone.

    JOB_FILE holds what the front adds to the request: where the worker reports, and how it is contained.
    """
    forkserver, job_file, *argv = sys.argv[1:]
    with open(job_file, "rb") as file:
        job = json.load(file)
    connection = _connect(forkserver)
    request = {"argv": argv, "env": dict(os.environ), "cwd": os.getcwd(), **job}
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
