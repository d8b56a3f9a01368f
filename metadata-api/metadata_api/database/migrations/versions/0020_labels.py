"""labels of inputs

Revision: 0020, after 0019.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "labels",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("input_sha256", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("number", sa.Double(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("chosen", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("supersedes", sa.BigInteger(), nullable=True),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("num_nonnulls(label, number, text) = 1", name=op.f("ck_labels_answer")),
        sa.CheckConstraint("chosen in ('random', 'queue', 'other')", name=op.f("ck_labels_chosen")),
        sa.ForeignKeyConstraint(
            ["input_sha256"],
            ["inputs.sha256"],
            name=op.f("fk_labels_input_sha256_inputs"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(["supersedes"], ["labels.id"], name=op.f("fk_labels_supersedes_labels")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labels")),
    )
    op.create_index("ix_labels_input_sha256", "labels", ["input_sha256"])
    op.create_index("ix_labels_supersedes", "labels", ["supersedes"], unique=True)
    op.create_index(
        "uq_labels_current",
        "labels",
        ["task", "input_sha256"],
        unique=True,
        postgresql_where=sa.text("superseded_at is null"),
    )
    op.create_table(
        "label_skips",
        sa.Column("input_sha256", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["input_sha256"],
            ["inputs.sha256"],
            name=op.f("fk_label_skips_input_sha256_inputs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("input_sha256", "task", "author", name=op.f("pk_label_skips")),
    )


def downgrade() -> None:
    op.drop_table("label_skips")
    op.drop_table("labels")
