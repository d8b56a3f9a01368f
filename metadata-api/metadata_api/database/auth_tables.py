"""The tables of who may do what and who did what."""

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, CheckConstraint, DateTime, Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from metadata_api.database import columns
from metadata_api.database.session import Base
from serving_runtime.contracts import Role


class ApiToken(Base):
    """A token that was issued; its text is kept nowhere."""

    __tablename__ = "api_tokens"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    """Twelve hexadecimal digits, the middle of the token."""
    sha256: Mapped[str] = mapped_column(Text)
    """Of the whole token, in hexadecimal."""
    name: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    deployments: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """What it is limited to, by name; null means everything."""
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = columns.now()
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (CheckConstraint(f"role in {tuple(map(str, Role))!r}", name="role"),)


class AuditEntry(Base):
    """One transaction of a request that changed something, written in that transaction; never changed."""

    __tablename__ = "audit_entries"

    id: Mapped[int] = columns.identity()
    at: Mapped[datetime] = columns.now()
    subject: Mapped[str] = mapped_column(Text)
    """The verified caller, never what a body claims."""
    kind: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    token_id: Mapped[str | None] = mapped_column(Text)
    route: Mapped[str] = mapped_column(Text)
    """Method and address with the names of its parameters."""
    path: Mapped[str] = mapped_column(Text)
    changes: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    """Per row {table, key, before, after}, in short."""
    address: Mapped[str] = mapped_column(Text)
    request_id: Mapped[str] = mapped_column(Text)

    __table_args__ = (Index("ix_audit_entries_subject_id", "subject", "id"),)
