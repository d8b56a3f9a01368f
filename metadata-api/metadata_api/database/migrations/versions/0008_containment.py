"""observed containment of deployments

Revision: 0008, after 0007.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deployments", sa.Column("observed_containment", JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("deployments", "observed_containment")
