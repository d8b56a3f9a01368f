"""in which bucket copies are, and which installation this is

Revision: 0018, after 0017.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("stored_objects", sa.Column("copied_to", sa.Text(), nullable=True))
    op.create_index(
        "ix_stored_objects_uncopied",
        "stored_objects",
        ["created_at"],
        postgresql_where=sa.text("copied_at is null and unreferenced_since is null and problem is null"),
    )
    op.create_table(
        "installations",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installations")),
    )
    op.execute("insert into installations default values")


def downgrade() -> None:
    op.drop_table("installations")
    op.drop_index("ix_stored_objects_uncopied", "stored_objects")
    op.drop_column("stored_objects", "copied_to")
