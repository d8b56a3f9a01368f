"""task and environment of versions

Revision: 0016, after 0015.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("task", sa.Text(), nullable=True))
    op.add_column("model_versions", sa.Column("environment", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("model_versions", "environment")
    op.drop_column("model_versions", "task")
