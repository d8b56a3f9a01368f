"""Login at an OpenID provider, by the authorization code flow with PKCE; used by `login.Login`.

The messages of the protocol are Authlib's; the transport is ours, with deadlines and limits. The id token becomes the
visitor's credential: the metadata API verifies its signature, issuer, audience and expiry at every use, so nothing here
relies on it before the API has accepted it.
"""

import base64
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qs

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client
from authlib.oauth2.rfc6749.parameters import parse_authorization_code_response, prepare_token_request
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from model_ui.settings import Settings, is_private

LIFETIME_SECONDS = 600
DISCOVERY_SECONDS = 600.0
TIMEOUT_SECONDS = 10.0
MAX_RESPONSE_BYTES = 64 * 1024


class OidcError(Exception):
    """Why nobody was logged in, as a sentence that may be shown."""


class ProviderAway(OidcError):
    """The provider does not answer, or not as one does."""


@dataclass(frozen=True)
class Attempt:
    """What one login has to remember until the browser comes back; sealed in a cookie of that browser."""

    state: str
    nonce: str
    verifier: str
    next_address: str


@dataclass(frozen=True)
class _Provider:
    authorization_endpoint: str
    token_endpoint: str
    auth_method: str


class OidcLogin:
    """Logins at one provider. A transport may be given instead of the network, by tests."""

    def __init__(self, settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._issuer = settings.oidc_issuer
        self._client_id = settings.oidc_client_id
        path = settings.oidc_client_secret_file
        self._secret = path.read_text().strip() if path else ""
        self._scope = settings.oidc_scope
        self._redirect_uri = f"{settings.public_url}/login/callback"
        self._fernet = Fernet(_key(self._secret))
        self._transport = transport
        self._found: tuple[float, _Provider] | None = None

    async def begin(self, next_address: str) -> tuple[str, str]:
        """The provider's address to which the browser goes, and the sealed attempt. Raises ProviderAway."""
        provider = await self._provider()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        attempt = Attempt(state, nonce, verifier, next_address)
        client = self._client(provider)
        location, _ = client.create_authorization_url(
            provider.authorization_endpoint,
            state=attempt.state,
            nonce=attempt.nonce,
            code_verifier=attempt.verifier,
        )
        return str(location), self._fernet.encrypt(json.dumps(asdict(attempt)).encode()).decode()

    async def finish(self, query: str, sealed: str) -> tuple[str, Attempt]:
        """The id token for the code with which a browser came back. Raises OidcError.

        Args:
            query: of the address to which the provider sent the browser.
            sealed: the attempt from the browser's cookie; without one this browser began no login.
        """
        attempt = self._opened(sealed)
        if (issuer := parse_qs(query).get("iss")) and issuer != [self._issuer]:
            raise OidcError("The answer is of another provider.")
        if "error" in parse_qs(query):
            raise OidcError("The provider did not log you in.")
        try:
            found = parse_authorization_code_response(f"{self._redirect_uri}?{query}", state=attempt.state)
        except AuthlibBaseError as error:
            raise OidcError("The provider's answer does not belong to this login.") from error
        token = await self._exchange(str(found["code"]), attempt.verifier)
        return token, attempt

    def belongs(self, token: str, attempt: Attempt) -> bool:
        """Whether an id token that the API has verified was made for this login, and is not one of another."""
        return secrets.compare_digest(_nonce_of(token) or "", attempt.nonce)

    def _opened(self, sealed: str) -> Attempt:
        try:
            content = self._fernet.decrypt(sealed.encode(), ttl=LIFETIME_SECONDS)
        except InvalidToken:
            raise OidcError("This login has ended or was begun in another browser.") from None
        return Attempt(**json.loads(content))

    def _client(self, provider: _Provider) -> Any:
        return OAuth2Client(
            None,
            client_id=self._client_id,
            client_secret=self._secret or None,
            token_endpoint_auth_method=provider.auth_method,
            scope=self._scope,
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
        )

    async def _exchange(self, code: str, verifier: str) -> str:
        provider = await self._provider()
        body = prepare_token_request(
            "authorization_code", redirect_uri=self._redirect_uri, code=code, code_verifier=verifier
        )
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        client = self._client(provider)
        uri, headers, body = client.client_auth(provider.auth_method).prepare(
            "POST", provider.token_endpoint, headers, body
        )
        answer = await self._ask("POST", uri, headers=headers, content=body)
        token = answer.get("id_token")
        if not isinstance(token, str):
            reason = answer.get("error_description") or answer.get("error") or "it sent no id token"
            raise OidcError(f"The provider gave no id token: {str(reason)[:200]}.")
        return token

    async def _provider(self) -> _Provider:
        """The provider's endpoints, as it published them in the last ten minutes."""
        now = time.monotonic()
        if self._found and now - self._found[0] < DISCOVERY_SECONDS:
            return self._found[1]
        answer = await self._ask("GET", f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if answer.get("issuer") != self._issuer:
            raise ProviderAway("The provider calls itself by another name than UI_OIDC_ISSUER.")
        endpoints = [answer.get("authorization_endpoint"), answer.get("token_endpoint")]
        for endpoint in endpoints:
            if not isinstance(endpoint, str) or not is_private(endpoint):
                raise ProviderAway("An endpoint of the provider is no https address.")
        methods = answer.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        usual = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        provider = _Provider(str(endpoints[0]), str(endpoints[1]), usual if self._secret else "none")
        self._found = (now, provider)
        return provider

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, **options: Any
    ) -> Mapping[str, Any]:
        """A JSON object of the provider, which may also be the description of an error. Raises ProviderAway."""
        content = bytearray()
        # Not compressed: what is counted is what there is.
        sent = {**(headers or {}), "accept-encoding": "identity"}
        try:
            # Logins are rare: no connection is kept.
            client = httpx.AsyncClient(
                transport=self._transport, timeout=TIMEOUT_SECONDS, follow_redirects=False
            )
            async with client, client.stream(method, url, headers=sent, **options) as response:
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise ProviderAway("The provider's answer is compressed, which nobody asked for.")
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_RESPONSE_BYTES:
                        raise ProviderAway("The provider's answer is too long.")
            answer = json.loads(content)
        except httpx.HTTPError as error:
            raise ProviderAway("The provider does not answer. Try again in a moment.") from error
        except (ValueError, RecursionError) as error:
            raise ProviderAway("The provider's answer cannot be read.") from error
        expected = response.is_success or (method == "POST" and 400 <= response.status_code < 500)
        if not isinstance(answer, dict) or not expected:
            raise ProviderAway(f"The provider answered with status {response.status_code}.")
        return answer


def _nonce_of(token: str) -> str | None:
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        nonce = claims.get("nonce")
    except (ValueError, IndexError, AttributeError):
        return None
    return nonce if isinstance(nonce, str) else None


def _key(secret: str) -> bytes:
    """The key that seals attempts: the same in all replicas, as they share the client's secret."""
    material = secret.encode() or secrets.token_bytes(32)
    derived = HKDF(SHA256(), 32, salt=None, info=b"marina ui login attempt").derive(material)
    return base64.urlsafe_b64encode(derived)
