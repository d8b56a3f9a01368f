"""batches of deployments

Revision: 0019, after 0018.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

CHECKS = {"batch_size": "batch_size > 0", "batch_delay_ms": "batch_delay_ms >= 0"}


def upgrade() -> None:
    for name, check in CHECKS.items():
        op.add_column("deployments", sa.Column(name, sa.Integer(), nullable=True))
        op.create_check_constraint(op.f(f"ck_deployments_{name}"), "deployments", check)


def downgrade() -> None:
    for name in CHECKS:
        op.drop_constraint(op.f(f"ck_deployments_{name}"), "deployments")
        op.drop_column("deployments", name)
