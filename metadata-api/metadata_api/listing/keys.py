"""Typed values as bytes that sort as the values do: `field (6 bytes), type (1 byte), value`.

The database makes them in `experiment_keys_of`, here are those that it is asked for. A type comes after another as its
byte does, so that one index holds every field, and any comparison is a range of it.
"""

import struct
from datetime import UTC, datetime
from typing import Final

from metadata_api.listing.fields import Field

Value = bool | float | str

BOOL: Final = b"\x01"
NUMBER: Final = b"\x02"
TEXT: Final = b"\x03"
LOWER: Final = b"\x04"
"""Texts with capitals once more in small letters, only to be searched."""
END: Final = b"\x05"
MAX_TEXT: Final = 500
"""So many characters of a text are compared and searched."""
TYPE_AT: Final = 6
VALUE_AT: Final = TYPE_AT + 1


def type_of(value: Value) -> bytes:
    """The byte of a value's type."""
    if isinstance(value, bool):
        return BOOL
    return TEXT if isinstance(value, str) else NUMBER


def key(field: Field, value: Value) -> bytes:
    """The key of a value."""
    return field.digest + type_of(value) + _body(value)


def decode(key: bytes) -> Value:
    """The value of a key that is not only there to be searched."""
    kind, body = key[TYPE_AT:VALUE_AT], key[VALUE_AT:]
    if kind == BOOL:
        return body == b"\x01"
    return body.decode() if kind == TEXT else _number(body)


def microseconds(moment: datetime) -> float:
    """How moments are stored: as a number; without a time zone they are UTC."""
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return float((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def _body(value: Value) -> bytes:
    if isinstance(value, bool):
        return b"\x01" if value else b"\x00"
    if isinstance(value, str):
        return value[:MAX_TEXT].encode()
    # Zero has one form only. Negative numbers sort the wrong way round, and before the others.
    (bits,) = struct.unpack(">Q", struct.pack(">d", value + 0.0))
    return struct.pack(">Q", bits ^ (2**64 - 1 if bits >> 63 else 2**63))


def _number(body: bytes) -> float:
    (bits,) = struct.unpack(">Q", body)
    (value,) = struct.unpack(">d", struct.pack(">Q", bits ^ (2**63 if bits >> 63 else 2**64 - 1)))
    return float(value)
