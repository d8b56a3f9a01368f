"""states, notes and directions of experiments; curves that grow

Revision: 0023, after 0022.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

STATES = "state in ('running', 'finished', 'failed', 'stopped')"
TIMES = ("first_time", "last_time", "min_time", "max_time")
# Until now the best value of a metric was the greatest where its name ends with accuracy.
DIRECTIONS = """
update experiments set updated_at = created_at, metrics = coalesce(
    (select jsonb_object_agg(key, value || jsonb_build_object(
        'direction', case when key like '%accuracy' then 'max' else 'min' end)) from jsonb_each(metrics)), '{}'::jsonb)
"""
CHUNKS = """
update metric_points set chunk = numbered.number from (
    select experiment_id, metric, first_step,
        row_number() over (partition by experiment_id, metric order by first_step) - 1 as number
    from metric_points
) as numbered
where (metric_points.experiment_id, metric_points.metric, metric_points.first_step)
    = (numbered.experiment_id, numbered.metric, numbered.first_step)
"""


def upgrade() -> None:
    empty = sa.text("'{}'::jsonb")
    op.add_column(
        "experiments", sa.Column("directions", postgresql.JSONB(), server_default=empty, nullable=False)
    )
    op.add_column("experiments", sa.Column("key_metric", sa.Text(), nullable=True))
    op.add_column("experiments", sa.Column("state", sa.Text(), server_default="finished", nullable=False))
    op.add_column("experiments", sa.Column("notes", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "experiments",
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.add_column("experiments", sa.Column("points_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("experiments", sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(op.f("ck_experiments_state"), "experiments", STATES)
    op.execute(DIRECTIONS)
    for name in TIMES:
        op.add_column("metric_points", sa.Column(name, sa.Double(), nullable=True))
    op.add_column("metric_points", sa.Column("times", postgresql.ARRAY(sa.Double()), nullable=True))
    op.drop_constraint(op.f("pk_metric_points"), "metric_points")
    op.drop_column("metric_points", "chunk")
    op.create_primary_key(
        op.f("pk_metric_points"), "metric_points", ["experiment_id", "metric", "first_step"]
    )


def downgrade() -> None:
    op.add_column("metric_points", sa.Column("chunk", sa.Integer(), nullable=True))
    op.execute(CHUNKS)
    op.drop_constraint(op.f("pk_metric_points"), "metric_points")
    op.create_primary_key(op.f("pk_metric_points"), "metric_points", ["experiment_id", "metric", "chunk"])
    for name in ("times", *TIMES):
        op.drop_column("metric_points", name)
    op.execute(
        "update experiments set metrics = coalesce((select jsonb_object_agg(key, value - 'direction')"
        " from jsonb_each(metrics)), '{}'::jsonb)"
    )
    op.drop_constraint(op.f("ck_experiments_state"), "experiments")
    for name in ("ended_at", "points_at", "updated_at", "notes", "state", "key_metric", "directions"):
        op.drop_column("experiments", name)
