"""owners of deployments and the native runtime

Revision: 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deployments", sa.Column("owner", sa.Text(), server_default="api", nullable=False))
    op.create_check_constraint(op.f("ck_deployments_owner"), "deployments", "owner in ('api', 'helm')")
    op.drop_constraint(op.f("ck_deployments_runtime"), "deployments", type_="check")
    op.create_check_constraint(
        op.f("ck_deployments_runtime"), "deployments", "runtime in ('torchserve', 'native')"
    )


def downgrade() -> None:
    # What the older schema cannot hold: the other runtime, which serves the same archives.
    op.execute("update deployments set runtime = 'torchserve'")
    op.drop_constraint(op.f("ck_deployments_runtime"), "deployments", type_="check")
    op.create_check_constraint(op.f("ck_deployments_runtime"), "deployments", "runtime in ('torchserve')")
    op.drop_constraint(op.f("ck_deployments_owner"), "deployments", type_="check")
    op.drop_column("deployments", "owner")
