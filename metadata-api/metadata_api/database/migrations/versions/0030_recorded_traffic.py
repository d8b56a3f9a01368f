"""predictions that are recorded v2 traffic

Revision: 0030, after 0029.
"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint(op.f("ck_predictions_status"), "predictions", type_="check")
    op.create_check_constraint(
        op.f("ck_predictions_status"), "predictions", "status in ('ok', 'error', 'unanswered')"
    )
    op.alter_column("predictions", "latency_ms", nullable=True)
    op.create_index(op.f("ix_predictions_source_id"), "predictions", ["source", "id"])
    op.create_index(
        op.f("ix_predictions_unanswered_id"),
        "predictions",
        ["id"],
        postgresql_where=sa.text("status = 'unanswered'"),
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_predictions_unanswered_id"), "predictions")
    op.drop_index(op.f("ix_predictions_source_id"), "predictions")
    op.execute("delete from predictions where status = 'unanswered'")
    op.execute("update predictions set latency_ms = 0 where latency_ms is null")
    op.alter_column("predictions", "latency_ms", nullable=False)
    op.drop_constraint(op.f("ck_predictions_status"), "predictions", type_="check")
    op.create_check_constraint(op.f("ck_predictions_status"), "predictions", "status in ('ok', 'error')")
