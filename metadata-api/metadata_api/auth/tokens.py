"""API tokens: issued once, kept as sha256, revoked; and the table of them that every request is checked against.

`mrn_<id>_<secret>`: the id finds the row, the secret has 256 random bits, so that a plain hash is enough and nobody
guesses one.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from metadata_api.auth.principal import Principal
from metadata_api.database.auth_tables import ApiToken
from metadata_api.database.live_table import LiveTable
from metadata_api.database.session import Sessions
from metadata_api.errors import NotFound, Unauthenticated
from metadata_api.schemas.tokens import IssuedToken, NewToken, Token, TokenPage
from metadata_api.settings.auth import Auth
from serving_runtime.contracts import Role

PREFIX = "mrn_"
METRICS = "/metrics"
"""Address of the figures for Prometheus, of this API and of the servers of models."""
# Whoever was just given a token must not be told that it is unknown because the database is slow.
FRESH_SECONDS = 2.0
_FORM = re.compile(r"mrn_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Credential:
    """A token as it can be checked: its hash, and who has it."""

    sha256: str
    principal: Principal

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        end = self.principal.expires_at
        return end is not None and end <= now


TokenTable = Mapping[str, Credential]
"""Every token that is not revoked, by id."""


def live(sessions: Sessions) -> LiveTable[TokenTable]:
    """The table as it is kept current: a token that is revoked at another replica is gone within a second."""
    return LiveTable(sessions, "tokens", read, (ApiToken,), fresh_seconds=FRESH_SECONDS)


def read(session: Session) -> TokenTable:
    """Every token that is not revoked; an expired one stays, so that its owner reads why it is rejected."""
    rows = session.scalars(select(ApiToken).where(ApiToken.revoked_at.is_(None)))
    return {row.id: Credential(row.sha256, _principal(row)) for row in rows}


def fixed(settings: Auth) -> TokenTable:
    """The tokens that whoever installed the API keeps in files; raises ValueError for anything else in one."""
    if settings.mode == "off":
        return {}
    files = (
        (settings.admin_token_file, "admin", Role.ADMIN, None),
        (settings.fetch_token_file, "fetcher", Role.FETCHER, None),
        (settings.metrics_token_file, "metrics", Role.VIEWER, METRICS),
    )
    found: dict[str, Credential] = {}
    for path, subject, role, only in files:
        found |= _from_file(path, subject, role, only) if path else {}
    return found


def version(*tables: TokenTable) -> str:
    """A digest of all tokens that are good, and of what they allow: another one once a token is issued or revoked."""
    found = hashlib.sha256()
    for table in tables:
        for number, one in sorted(table.items()):
            who = one.principal
            limits = sorted(who.deployments) if who.deployments is not None else None
            found.update(repr((number, one.sha256, str(who.role), limits, who.expires_at, who.path)).encode())
        found.update(b";")
    return found.hexdigest()[:32]


def identity(token: str) -> str:
    """The id in a token; empty for what has not the form of one."""
    form = _FORM.fullmatch(token)
    return form[1] if form else ""


def find(token: str, table: TokenTable, now: datetime) -> Principal:
    """Who has a token; raises Unauthenticated."""
    credential = table.get(identity(token))
    if credential is None or not compare_digest(credential.sha256, digest(token)):
        raise Unauthenticated(
            "unauthenticated", "The token is unknown or was revoked. Ask an admin for another."
        )
    if credential.expired(now):
        raise Unauthenticated("unauthenticated", "The token has expired. Ask an admin for another.")
    return credential.principal


def issue(session: Session, new: NewToken, *, created_by: str) -> IssuedToken:
    """Make a token; its text is in the response and nowhere else."""
    number, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    text = f"{PREFIX}{number}_{secret}"
    days = new.expires_in_days
    row = ApiToken(
        id=number,
        sha256=digest(text),
        name=new.name,
        role=new.role,
        deployments=sorted(set(new.deployments)) if new.deployments is not None else None,
        created_by=created_by,
        expires_at=datetime.now(UTC) + timedelta(days=days) if days is not None else None,
    )
    session.add(row)
    session.flush()
    session.refresh(row)
    return IssuedToken(**_shown(row).model_dump(), token=text)


def list_page(session: Session, *, limit: int, after: str | None) -> TokenPage:
    """Tokens by id, those that are revoked too; their texts are not known."""
    query = select(ApiToken).order_by(ApiToken.id).limit(limit + 1)
    if after is not None:
        query = query.where(ApiToken.id > after)
    rows = session.scalars(query).all()
    shown = [_shown(row) for row in rows[:limit]]
    return TokenPage(items=shown, next=shown[-1].id if len(rows) > limit else None)


def revoke(session: Session, number: str) -> None:
    """Make a token useless; revoking one again changes nothing. Raises NotFound."""
    row = session.get(ApiToken, number)
    if row is None:
        raise NotFound("token_unknown", f"There is no token {number}. GET /v1/tokens lists them.")
    if row.revoked_at is None:
        row.revoked_at = session.scalar(select(func.now()))


def digest(token: str) -> str:
    """sha256 of a token, in hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def _principal(row: ApiToken) -> Principal:
    limited = frozenset(row.deployments) if row.deployments is not None else None
    return Principal(row.name, Role(row.role), "token", row.id, limited, row.expires_at)


def _shown(row: ApiToken) -> Token:
    return Token.model_validate(row, from_attributes=True)


def _from_file(path: Path, subject: str, role: Role, only: str | None) -> Mapping[str, Credential]:
    token = path.read_text().strip()
    if not (found := identity(token)):
        raise ValueError(f"{path} holds no API token: mrn_, 12 hexadecimal digits, _ and 43 characters")
    return {found: Credential(digest(token), Principal(subject, role, "token", token_id=found, path=only))}
