"""desired state of deployments; what was never used is dropped

Revision: 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _rename("wanted", "desired")
    op.drop_table("labels")
    op.drop_column("alias_events", "evidence")
    op.drop_column("predictions", "alias")


def downgrade() -> None:
    op.add_column("predictions", sa.Column("alias", sa.Text(), nullable=True))
    op.add_column("alias_events", sa.Column("evidence", postgresql.JSONB(), nullable=True))
    op.create_table(
        "labels",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("image_sha256", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_sha256"],
            ["images.sha256"],
            name=op.f("fk_labels_image_sha256_images"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labels")),
    )
    op.create_index(op.f("ix_labels_image_sha256"), "labels", ["image_sha256"], unique=False)
    _rename("desired", "wanted")


def _rename(old: str, new: str) -> None:
    op.alter_column("deployments", old, new_column_name=new)
    op.execute(f"alter table deployments rename constraint ck_deployments_{old} to ck_deployments_{new}")
    op.execute(
        f"update predictions set lineage = (lineage - '{old}_version')"
        f" || jsonb_build_object('{new}_version', lineage -> '{old}_version') where lineage ? '{old}_version'"
    )
