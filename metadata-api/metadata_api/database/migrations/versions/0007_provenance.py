"""provenance of versions

Revision: 0007, after 0006.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("uploaded_by", sa.Text(), nullable=True))
    op.add_column("model_versions", sa.Column("uploaded_from", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("model_versions", "uploaded_from")
    op.drop_column("model_versions", "uploaded_by")
