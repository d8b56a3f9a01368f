"""Signatures of archives: whether an upload needs one, and which trusted key made it.

They have the format of OpenSSF model signing with an elliptic-curve key; see docs/adr/0042-signed-archives.md.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from metadata_api.errors import Invalid, Unavailable
from metadata_api.settings.auth import Signature

if TYPE_CHECKING:
    from metadata_api.signatures.keys import TrustedKey

MAX_BYTES = 64 * 1024
"""Largest signature; one of a single archive has 2 KB."""
HOW = (
    "Sign the archive by `model_signing sign key --private_key KEY --signature ARCHIVE.sig ARCHIVE` "
    "and send both as the fields `file` and `signature` of a form."
)

log = logging.getLogger(__name__)


class Signer(NamedTuple):
    """A trusted key that signed: its name, which is that of its file, and the sha256 of the public key."""

    name: str
    key_sha256: str


class Signatures:
    """What the installation demands of uploads, and whom it trusts.

    The keys are read for each signature: one that is added or taken away counts at once. Raises ValueError when they
    cannot be read now, so that an API that would reject every upload does not start.
    """

    def __init__(self, settings: Signature) -> None:
        self._paths = settings.keys
        self._required = settings.required
        if self._paths:
            self._keys()

    def require(self, signature: bytes | None) -> None:
        """Raise Invalid when an upload lacks a signature that it needs, or has one that nobody would check."""
        if signature is None and self._required:
            raise Invalid("signature_missing", f"Archives must be signed here. {HOW}")
        if signature is not None and not self._paths:
            raise Invalid(
                "signature_not_checked",
                "No key is trusted here, so the signature would mean nothing. Leave it away, or ask the operator to "
                "set METADATA_API_SIGNATURE_KEYS.",
            )

    def check(self, signature: bytes | None, sha256: str) -> Signer | None:
        """Who signed bytes with this sha256; None for an upload without a signature where none is needed.

        Raises Invalid, and Unavailable while the trusted keys cannot be read.
        """
        self.require(signature)
        if signature is None:
            return None
        from metadata_api.signatures.bundle import verify

        try:
            keys = self._keys()
        except ValueError as error:
            log.error("no signature can be checked: %s", error)
            raise Unavailable(
                "signature_keys_unreadable", "The trusted keys cannot be read; the API's log says why."
            ) from error
        key = verify(signature, sha256, keys)
        return Signer(key.name, key.sha256)

    def _keys(self) -> "Mapping[str, TrustedKey]":
        # Only where keys are trusted: cryptography takes time and memory.
        from metadata_api.signatures.keys import read

        return read(self._paths)
