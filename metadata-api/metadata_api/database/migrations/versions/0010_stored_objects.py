"""the ledger of stored objects, and checks of the store

Revision: 0010, after 0009.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COUNTS = ("objects", "checked", "checked_bytes", "missing", "damaged", "repaired", "unreferenced")


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "stored_objects",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", moment, server_default=sa.func.now(), nullable=False),
        sa.Column("unreferenced_since", moment, nullable=True),
        sa.Column("deleting_since", moment, nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.CheckConstraint("kind in ('archive', 'image')", name=op.f("ck_stored_objects_kind")),
        sa.CheckConstraint("problem in ('missing', 'damaged')", name=op.f("ck_stored_objects_problem")),
        sa.PrimaryKeyConstraint("kind", "sha256", name=op.f("pk_stored_objects")),
    )
    for column in ("unreferenced_since", "problem"):
        op.create_index(
            f"ix_stored_objects_{column}",
            "stored_objects",
            [column],
            postgresql_where=sa.text(f"{column} is not null"),
        )
    op.create_table(
        "store_checks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("state", sa.Text(), server_default="requested", nullable=False),
        sa.Column("repair", sa.Boolean(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", moment, server_default=sa.func.now(), nullable=False),
        sa.Column("finished_at", moment, nullable=True),
        sa.Column("position", sa.Text(), server_default="", nullable=False),
        *(sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in COUNTS),
        sa.Column("findings", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state in ('requested', 'running', 'finished', 'failed')", name=op.f("ck_store_checks_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_store_checks")),
    )
    op.create_index(
        "uq_store_checks_pending",
        "store_checks",
        ["state"],
        unique=True,
        postgresql_where=sa.text("state in ('requested')"),
    )
    op.create_index("ix_model_versions_sha256", "model_versions", ["sha256"])
    op.execute(
        "insert into stored_objects (kind, sha256, size) "
        "select 'archive', sha256, max(size) from model_versions group by sha256 "
        "union all select 'image', sha256, size from images"
    )


def downgrade() -> None:
    op.drop_index("ix_model_versions_sha256", "model_versions")
    op.drop_table("store_checks")
    op.drop_table("stored_objects")
