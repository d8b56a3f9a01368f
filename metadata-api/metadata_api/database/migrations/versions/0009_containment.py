"""observed containment of deployments

Revision: 0009, after 0008.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deployments", sa.Column("observed_containment", JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("deployments", "observed_containment")
