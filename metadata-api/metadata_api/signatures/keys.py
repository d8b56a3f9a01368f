"""The public keys whose signatures count, read from files that the operator gives.

A folder may be a mounted ConfigMap, so links are followed; whatever is at their end must be a small regular file.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
MAX_BYTES = 16 * 1024
MAX_KEYS = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class TrustedKey(NamedTuple):
    """A public key: its name, and the sha256 of its PEM, by which signatures name it."""

    name: str
    sha256: str
    public: EllipticCurvePublicKey


def read(paths: Sequence[Path]) -> Mapping[str, TrustedKey]:
    """Every key of these files, and of the files in these folders, by its sha256.

    Hidden files of folders are passed over. Raises ValueError for anything that is no public key, and for no key.
    """
    found: dict[str, TrustedKey] = {}
    for path in _files(paths):
        key = _key(path)
        found[key.sha256] = key
        if len(found) > MAX_KEYS:
            raise ValueError(f"there are more than {MAX_KEYS} keys for signatures: take some away")
    if not found:
        raise ValueError(f"{', '.join(map(str, paths))} holds no public key: put PEM files there")
    return found


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            try:
                yield from sorted(one for one in path.iterdir() if not one.name.startswith("."))
            except OSError as error:
                raise ValueError(f"{path} cannot be read: {error.strerror}") from error
        else:
            yield path


def _key(path: Path) -> TrustedKey:
    name = path.stem
    if not _NAME.fullmatch(name):
        raise ValueError(f"{str(path)!r} is no name for a key: use letters, digits, dots, _ and -")
    try:
        public = load_pem_public_key(_content(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(
            f"{path} holds no public key in PEM, as `openssl ec -pubout` writes it: {error}"
        ) from error
    if not isinstance(public, EllipticCurvePublicKey) or public.curve.name not in CURVES:
        raise ValueError(f"{path} holds a key of another kind: use one of {', '.join(CURVES.values())}")
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return TrustedKey(name, hashlib.sha256(pem).hexdigest(), public)


def _content(path: Path) -> bytes:
    """All of a small regular file; neither a pipe nor a device is waited for."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ValueError("it is no regular file")
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    return content
