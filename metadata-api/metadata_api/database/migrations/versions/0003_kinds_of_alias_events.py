"""kinds of alias events

Revision: 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alias_events", sa.Column("kind", sa.Text(), server_default="move", nullable=False))


def downgrade() -> None:
    op.drop_column("alias_events", "kind")
