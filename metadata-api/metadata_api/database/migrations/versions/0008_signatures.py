"""signatures of versions

Revision: 0008, after 0007.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("signed_by", sa.Text(), nullable=True))
    op.add_column("model_versions", sa.Column("signing_key_sha256", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("model_versions", "signing_key_sha256")
    op.drop_column("model_versions", "signed_by")
