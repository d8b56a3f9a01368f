"""who changed a deployment and why; what lists of predictions are filtered by

Revision: 0022, after 0021.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

INDEXES: dict[str, tuple[list[Any], str | None]] = {
    "ix_predictions_label_id": (["label", "id"], None),
    "ix_predictions_experiment_id": ([sa.text("(lineage ->> 'experiment')"), "id"], None),
    "ix_predictions_created_at": (["created_at"], None),
    "ix_predictions_alias_id": (["alias", "id"], "alias is not null"),
    "ix_predictions_errors_id": (["id"], "status = 'error'"),
    "ix_predictions_disagrees_id": (["id"], "disagrees"),
}
# A task is derived where a version does not say it: of versions that give the same labels it is the same.
DISAGREEING = """
update predictions set disagrees = true where id in (
    select id from (
        select predictions.id, min(said) over same as least, max(said) over same as greatest
        from predictions
        join model_versions on predictions.version_id = model_versions.id,
        lateral (select coalesce(label, answer ->> 'text') as said) as answers
        where status = 'ok' and said is not null
        window same as (partition by request_uid, coalesce(task, model_versions.labels::text))
    ) as compared
    where least <> greatest
)
"""


def upgrade() -> None:
    for name in ("actor", "reason"):
        op.add_column("deployment_events", sa.Column(name, sa.Text(), server_default="", nullable=False))
    op.add_column(
        "predictions", sa.Column("disagrees", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.execute(DISAGREEING)
    for name, (columns, where) in INDEXES.items():
        op.create_index(name, "predictions", columns, postgresql_where=sa.text(where) if where else None)


def downgrade() -> None:
    for name in reversed(INDEXES):
        op.drop_index(name, "predictions")
    op.drop_column("predictions", "disagrees")
    for name in ("reason", "actor"):
        op.drop_column("deployment_events", name)
