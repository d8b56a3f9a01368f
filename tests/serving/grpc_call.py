"""One gRPC call written by hand: HTTP/2 without a library, as whoever looks for open ports would send it."""

import socket
import struct

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _GOAWAY = 0, 1, 4, 7
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_EMPTY_MESSAGE = bytes(5)


def messages(port: int, method: str, token: str | None = None) -> int:
    """Call `method` (`/package.Service/Method`) with an empty message; how many frames of data are answered.

    Raises OSError when the server does not answer within seconds, or does not speak HTTP/2.
    """
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method,
        ":authority": f"127.0.0.1:{port}",
        "content-type": "application/grpc",
        "te": "trailers",
        **({} if token is None else {"authorization": f"Bearer {token}"}),
    }
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, b"")
            + _frame(_HEADERS, _END_HEADERS, 1, b"".join(map(_field, fields, fields.values())))
            + _frame(_DATA, _END_STREAM, 1, _EMPTY_MESSAGE)
        )
        with connection.makefile("rb") as stream:
            count = 0
            while True:
                head = stream.read(9)
                if len(head) < 9:
                    raise ConnectionError("the server has closed the connection")
                size, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
                stream.read(size)
                if kind == _GOAWAY:
                    raise ConnectionError("the server does not take it")
                if kind == _SETTINGS and not flags & _ACK:
                    connection.sendall(_frame(_SETTINGS, _ACK, 0, b""))
                count += kind == _DATA
                if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
                    return count


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _field(name: str, value: str) -> bytes:
    """Not indexed, not Huffman coded; names and values shorter than 127 bytes."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
