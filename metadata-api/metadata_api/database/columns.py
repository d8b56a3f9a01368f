"""Columns that stand in many tables, each made anew by a call."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Identity, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

Json = dict[str, Any]


def identity() -> Mapped[int]:
    """A primary key that Postgres numbers."""
    return mapped_column(BigInteger, Identity(always=True), primary_key=True)


def now() -> Mapped[datetime]:
    """The time of the transaction that inserts the row."""
    return mapped_column(DateTime(timezone=True), server_default=func.now())


def document() -> Mapped[Json]:
    """A JSON object, empty unless given."""
    return mapped_column(JSONB, server_default=text("'{}'::jsonb"))
