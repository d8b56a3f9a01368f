"""The table of replays."""

from datetime import datetime

from sqlalchemy import CheckConstraint, DateTime, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from metadata_api.database import columns
from metadata_api.database.columns import Json
from metadata_api.database.session import Base


class Replay(Base):
    """Stored inputs through chosen deployments; the process that runs it says every second that it does."""

    __tablename__ = "replays"

    id: Mapped[int] = columns.identity()
    state: Mapped[str] = mapped_column(Text)
    deployments: Mapped[list[str]] = mapped_column(JSONB)
    inputs: Mapped[list[str]] = mapped_column(JSONB, deferred=True)
    total: Mapped[int]
    done: Mapped[int] = mapped_column(server_default="0")
    version_ids: Mapped[list[int]] = mapped_column(JSONB)
    """Of the versions that answered all of it, once it is done."""
    report: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True), deferred=True)
    reason: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = columns.now()
    seen_at: Mapped[datetime] = columns.now()
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        CheckConstraint("state in ('waiting', 'running', 'done', 'failed', 'cancelled')", name="state"),
    )
