"""The tables of what people say about inputs, by which answers of models are judged."""

from datetime import datetime

from sqlalchemy import CheckConstraint, DateTime, Double, ForeignKey, Index, Text
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from metadata_api.database import columns
from metadata_api.database.columns import Json
from metadata_api.database.session import Base


class Label(Base):
    """The right answer to one input for one task, as a person said it; only `superseded_at` ever changes."""

    __tablename__ = "labels"

    id: Mapped[int] = columns.identity()
    input_sha256: Mapped[str] = mapped_column(ForeignKey("inputs.sha256", ondelete="RESTRICT"), index=True)
    task: Mapped[str] = mapped_column(Text)
    label: Mapped[str | None] = mapped_column(Text)
    """The class; of `label`, `number` and `text` exactly one is there."""
    number: Mapped[float | None] = mapped_column(Double)
    text: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text, server_default="")
    author: Mapped[str] = mapped_column(Text)
    """The verified subject."""
    chosen: Mapped[str] = mapped_column(Text)
    """How the input was chosen to be labelled; a correction keeps it."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    supersedes: Mapped[int | None] = mapped_column(ForeignKey("labels.id"))
    """The label that this one took the place of."""
    superseded_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When another took its place; null means that it is current."""

    __table_args__ = (
        CheckConstraint("num_nonnulls(label, number, text) = 1", name="answer"),
        CheckConstraint("chosen in ('random', 'queue', 'other')", name="chosen"),
        Index(
            "uq_labels_current",
            "task",
            "input_sha256",
            unique=True,
            postgresql_where=sql("superseded_at is null"),
        ),
        Index("ix_labels_supersedes", "supersedes", unique=True),
    )


class LabelSkip(Base):
    """An input that somebody did not want to label for a task: it is not offered to them again."""

    __tablename__ = "label_skips"

    input_sha256: Mapped[str] = mapped_column(
        ForeignKey("inputs.sha256", ondelete="CASCADE"), primary_key=True
    )
    task: Mapped[str] = mapped_column(Text, primary_key=True)
    author: Mapped[str] = mapped_column(Text, primary_key=True)
    created_at: Mapped[datetime] = columns.now()


class PolicyOfAlias(Base):
    """What a candidate needs to take an alias, where it is not the default."""

    __tablename__ = "alias_policies"

    alias_id: Mapped[int] = mapped_column(ForeignKey("aliases.id", ondelete="CASCADE"), primary_key=True)
    policy: Mapped[Json] = mapped_column(JSONB)
    set_by: Mapped[str] = mapped_column(Text)
    set_at: Mapped[datetime] = columns.now()
