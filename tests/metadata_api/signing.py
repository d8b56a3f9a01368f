"""Keys and signatures for tests: made here in a moment, and by the real model_signing, which takes seconds."""

import base64
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurve,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.conftest import ROOT

PROGRAM = ROOT / ".venv" / "supply-chain" / "bin" / "model_signing"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
Json = dict[str, Any]


class Key:
    """A key pair whose public half has a name."""

    def __init__(self, name: str, curve: EllipticCurve | None = None) -> None:
        self.name = name
        self.private: EllipticCurvePrivateKey = generate_private_key(curve or SECP256R1())
        self.public_pem = self.private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        self.sha256 = hashlib.sha256(self.public_pem).hexdigest()

    def trust(self, folder: Path) -> Path:
        """Put the public half into a folder of trusted keys."""
        path = folder / f"{self.name}.pem"
        path.write_bytes(self.public_pem)
        return path

    def sign(self, archive: bytes) -> Json:
        """The bundle that signs an archive."""
        return self.envelop(statement(archive))

    def envelop(self, content: Json, payload_type: str = PAYLOAD_TYPE) -> Json:
        """The bundle that signs any statement, true or not."""
        payload = json.dumps(content).encode()
        signed = b"DSSEv1 %d %b %d %b" % (len(payload_type), payload_type.encode(), len(payload), payload)
        signature = self.private.sign(signed, ECDSA(SHA256()))
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": self.sha256}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": payload_type,
                "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
            },
        }

    def sign_by_program(self, path: Path) -> bytes:
        """What the real program writes for a file or a folder, by the command of the documentation."""
        key = path.parent / f"{self.name}.key"
        key.write_bytes(
            self.private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        )
        signature = path.with_name(f"{path.name}.sig")
        command = ["sign", "key", "--private_key", key, "--signature", signature, path]
        done = run(*command)
        assert done.returncode == 0, done.stderr
        return signature.read_bytes()


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The real program."""
    command = [str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def statement(archive: bytes) -> Json:
    """What is signed of an archive."""
    return statement_of([{"name": ".", "algorithm": "sha256", "digest": hashlib.sha256(archive).hexdigest()}])


def statement_of(resources: list[Json]) -> Json:
    """What is signed of some files."""
    root = hashlib.sha256(b"".join(bytes.fromhex(one["digest"]) for one in resources)).hexdigest()
    serialization: Json = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
    if not resources:
        serialization["ignore_paths"] = ["."]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {"serialization": serialization, "resources": resources},
    }
