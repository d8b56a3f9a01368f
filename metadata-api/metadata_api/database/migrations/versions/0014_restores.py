"""restores that wait for a word

Revision: 0014, after 0013.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "restores",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("dump", sa.Text(), nullable=False),
        sa.Column("restored_at", moment, server_default=sa.func.now(), nullable=False),
        sa.Column("withheld", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("confirmed_at", moment, nullable=True),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restores")),
    )
    # What a restore of a dump from before this table left.
    if sa.inspect(op.get_bind()).has_table("restored_dumps"):
        op.execute("insert into restores (dump, restored_at) select dump, restored_at from restored_dumps")
        op.drop_table("restored_dumps")


def downgrade() -> None:
    op.drop_table("restores")
