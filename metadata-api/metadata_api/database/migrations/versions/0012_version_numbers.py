"""version numbers are never given again

Revision: 0012, after 0011.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "version_numbers",
        sa.Column("experiment", sa.Text(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("experiment", name=op.f("pk_version_numbers")),
    )
    op.execute(
        "insert into version_numbers (experiment, last) select e.name, max(v.number) "
        "from model_versions v join experiments e on e.id = v.experiment_id group by e.name"
    )


def downgrade() -> None:
    op.drop_table("version_numbers")
