"""Reads and verifies one signature, as `model_signing sign key` writes it.

That is a Sigstore bundle: a DSSE envelope around an in-toto statement that names the sha256 of the archive. The
package model-signing is not used here: importing it loads all of Sigstore, and it takes a signature of no file at all
for one of any file. The tests sign with it.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from metadata_api.errors import Invalid
from metadata_api.signatures import HOW
from metadata_api.signatures.keys import TrustedKey

HASHES: Mapping[int, type[HashAlgorithm]] = {256: SHA256, 384: SHA384, 521: SHA512}
"""Size of a key's curve -> what it signs, as Sigstore pairs them."""


def _decoded(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("no base64 text")
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise ValueError("no base64 text") from error


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Base64 = Annotated[bytes, BeforeValidator(_decoded)]


class PublicKey(BaseModel):
    """Which key signed."""

    hint: Sha256


class Material(BaseModel):
    """What the signature can be verified with."""

    public_key: PublicKey = Field(alias="publicKey")


class EnvelopeSignature(BaseModel):
    """One signature of an envelope."""

    sig: Base64


class Envelope(BaseModel):
    """A DSSE envelope."""

    payload_type: Literal["application/vnd.in-toto+json"] = Field(alias="payloadType")
    payload: Base64
    signatures: list[EnvelopeSignature] = Field(min_length=1, max_length=1)


class Bundle(BaseModel):
    """A Sigstore bundle that was signed by a key."""

    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"] = Field(alias="mediaType")
    material: Material = Field(alias="verificationMaterial")
    envelope: Envelope = Field(alias="dsseEnvelope")


class Resource(BaseModel):
    """One file of what was signed; a model that is a single file has no other name."""

    name: Literal["."]
    algorithm: Literal["sha256"]
    digest: Sha256


class Predicate(BaseModel):
    """All files of what was signed: exactly one."""

    resources: list[Resource] = Field(min_length=1, max_length=1)


class Digest(BaseModel):
    """Of the digests of all files."""

    sha256: Sha256


class Subject(BaseModel):
    """What was signed, as a whole."""

    digest: Digest


class Statement(BaseModel):
    """An in-toto statement about a model."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    predicate_type: Literal["https://model_signing/signature/v1.0"] = Field(alias="predicateType")
    subject: list[Subject] = Field(min_length=1, max_length=1)
    predicate: Predicate


def verify(signature: bytes, sha256: str, keys: Mapping[str, TrustedKey]) -> TrustedKey:
    """The trusted key that signed bytes with this sha256; raises Invalid."""
    try:
        bundle = Bundle.model_validate_json(signature)
    except ValidationError as error:
        raise Invalid(
            "signature_unreadable", f"The signature cannot be read: {_first(error)}. {HOW}"
        ) from error
    hint = bundle.material.public_key.hint
    key = keys.get(hint)
    if key is None:
        known = ", ".join(sorted(f"{one.name} ({one.sha256[:12]})" for one in keys.values()))
        raise Invalid(
            "signature_not_trusted",
            f"The key {hint[:12]} that signed is not trusted here; these are: {known[:1000]}. Sign with one of them, "
            "or ask the operator to trust yours.",
        )
    _check_envelope(bundle.envelope, key)
    if _signed_sha256(bundle.envelope.payload) != sha256:
        raise Invalid("signature_mismatch", f"The signature is one of other bytes than the file's. {HOW}")
    return key


def _check_envelope(envelope: Envelope, key: TrustedKey) -> None:
    kind = envelope.payload_type.encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(envelope.payload), envelope.payload)
    try:
        key.public.verify(envelope.signatures[0].sig, signed, ECDSA(HASHES[key.public.curve.key_size]()))
    except InvalidSignature as error:
        raise Invalid(
            "signature_wrong", f"The signature was not made by the key {key.name}. {HOW}"
        ) from error


def _signed_sha256(payload: bytes) -> str:
    """Of the one file that a statement is about; raises Invalid for any other statement."""
    try:
        statement = Statement.model_validate_json(payload)
    except ValidationError as error:
        raise Invalid(
            "signature_of_something_else",
            f"What was signed is not one file, or not by the usual settings: {_first(error)}. {HOW}",
        ) from error
    digest = statement.predicate.resources[0].digest
    if hashlib.sha256(bytes.fromhex(digest)).hexdigest() != statement.subject[0].digest.sha256:
        raise Invalid("signature_of_something_else", f"What was signed contradicts itself. {HOW}")
    return digest


def _first(error: ValidationError) -> str:
    """Where and what, never the input itself."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    said = f"{where}: {first['msg']}" if where else str(first["msg"])
    return said[:300].encode(errors="replace").decode()
