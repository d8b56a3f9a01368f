"""what an archive's configuration file asks for

Revision: 0011, after 0010.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("archive_settings", JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("model_versions", "archive_settings")
