"""timeouts of deployments

Revision: 0013, after 0012.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("startup_seconds", "response_seconds"):
        op.add_column("deployments", sa.Column(name, sa.Integer(), nullable=True))
        op.create_check_constraint(op.f(f"ck_deployments_{name}"), "deployments", f"{name} > 0")


def downgrade() -> None:
    for name in ("startup_seconds", "response_seconds"):
        op.drop_constraint(op.f(f"ck_deployments_{name}"), "deployments")
        op.drop_column("deployments", name)
