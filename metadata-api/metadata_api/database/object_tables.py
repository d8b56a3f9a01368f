"""The tables of what has to last: the ledger of the store's objects, checks of the store, numbers that were given."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from metadata_api.database import columns
from metadata_api.database.session import Base


class StoredObject(Base):
    """Bytes of the store: they are there, or an upload has announced them."""

    __tablename__ = "stored_objects"

    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    sha256: Mapped[str] = mapped_column(Text, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = columns.now()
    unreferenced_since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Since when no row refers to them; after the grace time they are collected."""
    deleting_since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Since when the collector is deleting them; nobody may refer to them any more."""
    copied_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When they were sent to the copy of the store; null where there is none."""
    copied_to: Mapped[str | None] = mapped_column(Text)
    """The bucket and prefix that has this copy."""
    problem: Mapped[str | None] = mapped_column(Text)
    """What was wrong when they were read last."""

    __table_args__ = (
        CheckConstraint("kind in ('archive', 'input')", name="kind"),
        CheckConstraint("problem in ('missing', 'damaged')", name="problem"),
        Index(
            "ix_stored_objects_unreferenced_since",
            "unreferenced_since",
            postgresql_where=text("unreferenced_since is not null"),
        ),
        Index(
            "ix_stored_objects_uncopied",
            "created_at",
            postgresql_where=text("copied_at is null and unreferenced_since is null and problem is null"),
        ),
        Index("ix_stored_objects_problem", "problem", postgresql_where=text("problem is not null")),
    )


class VersionNumber(Base):
    """The number that was given last to a version of an experiment; stays when version and experiment are gone."""

    __tablename__ = "version_numbers"

    experiment: Mapped[str] = mapped_column(Text, primary_key=True)
    last: Mapped[int]


class Installation(Base):
    """The one row says which installation this database belongs to; a restore brings it back."""

    __tablename__ = "installations"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())


class Restore(Base):
    """A restore of the database from a dump; until it is confirmed nothing is removed because of it."""

    __tablename__ = "restores"

    id: Mapped[int] = columns.identity()
    dump: Mapped[str] = mapped_column(Text)
    restored_at: Mapped[datetime] = columns.now()
    withheld: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    """What the deployer would do if it was confirmed, as sentences."""
    confirmed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    confirmed_by: Mapped[str | None] = mapped_column(Text)


class StoreCheck(Base):
    """One check of the store against the database, and how far it is."""

    __tablename__ = "store_checks"

    id: Mapped[int] = columns.identity()
    state: Mapped[str] = mapped_column(Text, server_default="requested")
    repair: Mapped[bool]
    requested_by: Mapped[str] = mapped_column(Text)
    requested_at: Mapped[datetime] = columns.now()
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    position: Mapped[str] = mapped_column(Text, server_default="")
    """KIND/SHA256 of the last object that was checked: a check that broke off goes on from there."""
    objects: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """How many there were when it began."""
    checked: Mapped[int] = mapped_column(BigInteger, server_default="0")
    checked_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    missing: Mapped[int] = mapped_column(BigInteger, server_default="0")
    damaged: Mapped[int] = mapped_column(BigInteger, server_default="0")
    repaired: Mapped[int] = mapped_column(BigInteger, server_default="0")
    unreferenced: Mapped[int] = mapped_column(BigInteger, server_default="0")
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint("state in ('requested', 'running', 'finished', 'failed')", name="state"),
        Index(
            "uq_store_checks_pending", "state", unique=True, postgresql_where=text("state in ('requested')")
        ),
    )
