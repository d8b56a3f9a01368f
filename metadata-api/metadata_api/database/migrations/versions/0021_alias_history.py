"""events of aliases say their version's experiment, archive and evidence; versions say what their environment had

Revision: 0021, after 0020.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alias_events", sa.Column("experiment", sa.Text(), nullable=True))
    op.add_column("alias_events", sa.Column("mar_sha256", sa.Text(), nullable=True))
    op.add_column("alias_events", sa.Column("evidence", postgresql.JSONB(), nullable=True))
    op.add_column("model_versions", sa.Column("environment_sha256", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("model_versions", "environment_sha256")
    for column in ("evidence", "mar_sha256", "experiment"):
        op.drop_column("alias_events", column)
