"""Access and id tokens of an OIDC provider: verified here, by keys that the provider publishes."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import jwt

from metadata_api.auth import compact_jwt
from metadata_api.auth.issuer_keys import ALGORITHMS, IssuerKeys
from metadata_api.auth.principal import Principal
from metadata_api.errors import Forbidden, Unauthenticated
from metadata_api.schemas.tokens import OIDC_PREFIX
from metadata_api.settings.auth import Auth
from serving_runtime.contracts import Role, highest

LEEWAY_SECONDS = 60
REQUIRED = ("iss", "aud", "exp", "sub")
# Tokens of other kinds are signed by the same keys, a logout token for example.
TYPES = ("jwt", "at+jwt")
MAX_SUBJECT = 200
_LAST_SECOND = 253402300799
"""The end of the year 9999."""


class Oidc:
    """Verifies the tokens of one issuer."""

    kind: Final = "oidc"

    def __init__(self, settings: Auth, keys: IssuerKeys) -> None:
        self._settings = settings
        self._keys = keys
        self.takes = f"access and id tokens of {settings.oidc_issuer}"

    async def principal(self, token: str) -> Principal | None:
        """Its owner; None for a token of another issuer. Raises Unauthenticated, Forbidden and Unavailable."""
        claimed = compact_jwt.read(token)
        if claimed is None or claimed.claims.get("iss") != self._settings.oidc_issuer:
            return None
        algorithm, kid = _key_of(claimed.header)
        claims = self._verified(token, await self._keys.find(kid, algorithm), algorithm)
        subject = self._subject(claims)
        end = datetime.fromtimestamp(min(int(claims["exp"]), _LAST_SECOND), UTC)
        return Principal(subject, self._role(claims, subject), "oidc", expires_at=end)

    def version(self) -> str:
        """A digest of the settings and of the issuer's keys."""
        return hashlib.sha256(f"{self._settings!r} {self._keys.digest()}".encode()).hexdigest()[:32]

    def _verified(self, token: str, key: jwt.PyJWK, algorithm: str) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self._settings.oidc_issuer,
                audience=self._settings.oidc_audience,
                leeway=LEEWAY_SECONDS,
                options={"require": list(REQUIRED)},
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("unauthenticated", "The token has expired. Log in again.") from error
        except jwt.InvalidAudienceError as error:
            wanted = " or ".join(self._settings.oidc_audience)
            raise Unauthenticated(
                "unauthenticated", f"The token is meant for another audience. Get one for {wanted}."
            ) from error
        # PyJWT lets some through: numbers beyond all bounds, objects in objects without end.
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise _wrong(str(error)) from error

    def _subject(self, claims: dict[str, Any]) -> str:
        """No two callers have the same, and none that of an API token's owner: those have no such prefix."""
        claim = self._settings.oidc_subject_claim or "email"
        # A provider may let people write any address into their profile.
        if claim != "email" or claims.get("email_verified") is True:
            value = _name(claims.get(claim))
            if value is not None:
                plain = claim == "email" and "@" in value and ":" not in value
                return f"{OIDC_PREFIX}{value}" if plain else f"{OIDC_PREFIX}{claim}:{value}"
        if self._settings.oidc_subject_claim:
            needed = f"{claim}, verified" if claim == "email" else claim
            raise _wrong(f"it has no claim {needed}, which names the caller")
        if (number := _name(claims["sub"])) is None:
            raise _wrong(f"its claim sub is no name of at most {MAX_SUBJECT} characters")
        return f"{OIDC_PREFIX}sub:{number}"

    def _role(self, claims: dict[str, Any], subject: str) -> Role:
        settings = self._settings
        values = _values(_at(claims, settings.oidc_role_claim))
        roles = [settings.oidc_roles[value] for value in values or () if value in settings.oidc_roles]
        if roles:
            return highest(roles)
        if settings.oidc_default_role is not None:
            return settings.oidc_default_role
        why = "no value that gives a role here" if values else "no value"
        raise Forbidden(
            "forbidden",
            f"{subject} has no role: the token's claim {settings.oidc_role_claim} has {why}. "
            "Ask an admin to map one of your groups to a role.",
        )


def _key_of(header: dict[str, Any]) -> tuple[str, str | None]:
    """Algorithm, and key id if there is one; whatever else a header says of keys is ignored."""
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS.values():
        raise _wrong(f"it is signed by another algorithm than {' and '.join(ALGORITHMS.values())}")
    if not isinstance(kid, str | None):
        raise _wrong("its key id is no text (kid)")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in TYPES:
        raise _wrong("it is neither an access token nor an id token (typ)")
    return str(algorithm), kid


def _wrong(why: str) -> Unauthenticated:
    return Unauthenticated("unauthenticated", f"The token is not valid: {why[:300]}. Log in again.")


def _name(value: object) -> str | None:
    """Text that can be shown in one line of a log, or None."""
    if not isinstance(value, str) or len(value) > MAX_SUBJECT or value.strip() != value or not value:
        return None
    return value if value.isprintable() else None


def _at(claims: dict[str, Any], path: str) -> object:
    """A claim by its whole name, which may hold dots itself, or else by a path into objects."""
    if path in claims:
        return claims[path]
    found: object = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _values(found: object) -> Iterable[str]:
    if isinstance(found, str):
        return (found,)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else ()
