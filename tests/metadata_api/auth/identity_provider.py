"""An OIDC provider on a real socket: discovery, a key set, and tokens signed by it; as wrong as it is told to be."""

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Reply = tuple[int, dict[str, str], bytes]
AUDIENCE = "marina-api"
DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"
ALGORITHMS: dict[str, Any] = {"RS256": jwt.algorithms.RSAAlgorithm, "ES256": jwt.algorithms.ECAlgorithm}


class Key:
    """A private key with an id; RS256 unless another algorithm is given."""

    def __init__(self, kid: str, algorithm: str = "RS256", bits: int = 2048) -> None:
        self.kid, self.algorithm = kid, algorithm
        self.private: Any = (
            rsa.generate_private_key(65537, bits)
            if algorithm == "RS256"
            else ec.generate_private_key(ec.SECP256R1())
        )

    def public(self) -> dict[str, Any]:
        """As it stands in a key set."""
        plain = ALGORITHMS[self.algorithm].to_jwk(self.private.public_key(), as_dict=True)
        return {**plain, "kid": self.kid, "use": "sig", "alg": self.algorithm}

    def pem(self) -> bytes:
        """The public key as text."""
        return bytes(self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


class IdentityProvider:
    """`with IdentityProvider(key) as provider`; `provider.issuer` is its name and address."""

    def __init__(self, *keys: Key, tls: tuple[Path, Path] | None = None) -> None:
        self.keys = list(keys)
        self.calls: list[str] = []
        self.pages: dict[str, Callable[[], Reply]] = {}
        """What it answers instead, by path."""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.calls.append(self.path)
                status, headers, body = provider._answer(self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

            def handle(self) -> None:
                # Clients whose deadline is over leave.
                with suppress(OSError):
                    super().handle()

        self._handler, self._tls = Handler, tls
        self.port = 0

    @property
    def issuer(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Answer, on the same port as before."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.port = self._server.server_port
        if self._tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Be away."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Those of a good access token; None leaves one away."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "u-1",
            "email": "ann@example.com",
            "email_verified": True,
            "groups": ["ml-team"],
            "iat": now,
            "exp": now + 300,
            **changed,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, *, header: dict[str, Any] | None = None, key: Key | None = None, **changed: Any) -> str:
        """One that it signed; `header` and further claims replace what is usual, None leaves it away."""
        key = key or self.keys[0]
        headers = {"typ": "JWT", "kid": key.kid, **(header or {})}
        # Below `jwt.encode`, which makes no wrong token.
        return jwt.api_jws.encode(
            json.dumps(self.claims(**changed)).encode(),
            key.private,
            key.algorithm,
            {name: value for name, value in headers.items() if value is not None},
        )

    def _answer(self, path: str) -> Reply:
        if path in self.pages:
            return self.pages[path]()
        if path == DISCOVERY:
            return as_json({"issuer": self.issuer, "jwks_uri": f"{self.issuer}{KEYS}"})
        if path == KEYS:
            return as_json({"keys": [key.public() for key in self.keys]})
        return 404, {}, b""


def as_json(content: object) -> Reply:
    return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()


def by_hand(header: dict[str, Any] | bytes, claims: dict[str, Any] | bytes, secret: bytes | None) -> str:
    """A token that no library makes: signed by HMAC, or not at all."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    text = b".".join(map(_encoded, parts))
    signature = hmac.new(secret, text, hashlib.sha256).digest() if secret else b""
    return (text + b"." + _encoded(signature)).decode()


def _encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
