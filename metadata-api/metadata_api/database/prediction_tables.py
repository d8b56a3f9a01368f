"""The tables of what models were asked, and what they answered."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Text,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from metadata_api.database import columns
from metadata_api.database.columns import Json
from metadata_api.database.session import Base


class Input(Base):
    """What models were asked about, stored once under its sha256; the bytes are in the store of inputs."""

    __tablename__ = "inputs"

    sha256: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    """The name of a module of `predicting.inputs`."""
    media_type: Mapped[str] = mapped_column(Text)
    """Of the bytes; `image/*` for images of before it was recorded, whose first bytes say which it is."""
    size: Mapped[int] = mapped_column(BigInteger)
    width: Mapped[int | None]
    """Of an image, in pixels, as `height`."""
    height: Mapped[int | None]
    summary: Mapped[Json] = columns.document()
    """What lists show of an input of another kind."""
    created_at: Mapped[datetime] = columns.now()

    __table_args__ = (Index("ix_inputs_created_at_sha256", "created_at", "sha256"),)


class Prediction(Base):
    """One answer of one version to one input, or the reason why there is none."""

    __tablename__ = "predictions"

    id: Mapped[int] = columns.identity()
    uid: Mapped[UUID] = mapped_column(unique=True)
    request_uid: Mapped[UUID] = mapped_column(index=True)
    """Shared by the answers to one call, so that they can be compared."""
    input_sha256: Mapped[str] = mapped_column(ForeignKey("inputs.sha256", ondelete="RESTRICT"), index=True)
    deployment: Mapped[str] = mapped_column(Text)
    """By name, because a prediction outlives its deployment."""
    alias: Mapped[str | None] = mapped_column(Text)
    """The alias that was asked; null when the deployment was."""
    source: Mapped[str] = mapped_column(Text)
    """Who asked: the pages, another client of this API, or one of v2 whose traffic is recorded."""
    version_id: Mapped[int | None] = mapped_column(
        ForeignKey("model_versions.id", ondelete="RESTRICT"), index=True
    )
    status: Mapped[str] = mapped_column(Text)
    """ok, error, or unanswered: of recorded traffic whose answer is not recorded, or not yet."""
    kind: Mapped[str] = mapped_column(Text)
    """Of the answer: the name of a module of `predicting.answers`."""
    label: Mapped[str | None] = mapped_column(Text)
    probabilities: Mapped[list[Json] | None] = mapped_column(JSONB(none_as_null=True))
    answer: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    """What an answer says that is neither label nor probabilities."""
    latency_ms: Mapped[float | None] = mapped_column(Double)
    """Null where nothing answered, or a recorded answer does not say when."""
    error: Mapped[str | None] = mapped_column(Text)
    error_detail: Mapped[str | None] = mapped_column(Text)
    lineage: Mapped[Json] = columns.document()
    disagrees: Mapped[bool] = mapped_column(server_default=false())
    """Whether another answer of the same call, to the same task, was another label or text."""
    created_at: Mapped[datetime] = columns.now()

    __table_args__ = (
        CheckConstraint("status in ('ok', 'error', 'unanswered')", name="status"),
        CheckConstraint("source in ('ui', 'api', 'v2')", name="source"),
        Index("ix_predictions_deployment_id", "deployment", "id"),
        Index("ix_predictions_label_id", "label", "id"),
        Index("ix_predictions_experiment_id", text("(lineage ->> 'experiment')"), "id"),
        Index("ix_predictions_created_at", "created_at"),
        Index("ix_predictions_source_id", "source", "id"),
        # Few rows each, so that they cost nearly nothing when others are written.
        Index("ix_predictions_alias_id", "alias", "id", postgresql_where=text("alias is not null")),
        Index("ix_predictions_errors_id", "id", postgresql_where=text("status = 'error'")),
        Index("ix_predictions_unanswered_id", "id", postgresql_where=text("status = 'unanswered'")),
        Index("ix_predictions_disagrees_id", "id", postgresql_where=text("disagrees")),
    )


EXPERIMENT = Prediction.lineage["experiment"].astext
"""Of a prediction, also of one that no version answered; as the index has it."""
