"""The kinds of requests that `make bench` sends."""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of request."""

    name: str
    rows: int
    binary: bool

    def request(self) -> tuple[bytes, int | None]:
        """The body, and the length of its JSON when binary data follow."""
        pixels = bytes((index * 37) % 256 for index in range(784 * self.rows))
        tensor = {"name": "image", "shape": [self.rows, 28, 28], "datatype": "UINT8"}
        if not self.binary:
            return json.dumps({"inputs": [{**tensor, "data": list(pixels)}]}).encode(), None
        sized = {**tensor, "parameters": {"binary_data_size": len(pixels)}}
        head = json.dumps({"inputs": [sized], "parameters": {"binary_data_output": True}}).encode()
        return head + pixels, len(head)


KINDS = tuple(
    Kind(f"{'binary' if binary else 'JSON'}, {rows} image{'s' * (rows > 1)} a request", rows, binary)
    for binary in (False, True)
    for rows in (1, 16)
)
