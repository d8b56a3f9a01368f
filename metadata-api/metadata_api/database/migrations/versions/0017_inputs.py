"""inputs of any kind take the place of images; a prediction says its alias, source and kind of answer

Reads go on: predictions and images are renamed at the end, within milliseconds and without touching a row. Only the
ledger's rows are rewritten, about 100,000 a second, and only reads of the ledger wait for that.

Revision: 0017, after 0016.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # In the order in which requests that write take them, so that none waits for one that waits for us.
    op.execute("lock table images, stored_objects, predictions in exclusive mode")
    _rename_kind("image", "input")
    # From here to the commit nobody reads either; in the order of queries about predictions with their images.
    op.execute("lock table predictions, images in access exclusive mode")
    op.rename_table("images", "inputs")
    _rename_parts("image", "input")
    _add_constant("inputs", "kind", "image")
    # Which of both formats it is was not recorded: its first bytes say so.
    _add_constant("inputs", "media_type", "image/*")
    op.add_column(
        "inputs",
        sa.Column("summary", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
    )
    for side in ("width", "height"):
        op.alter_column("inputs", side, nullable=True)
    op.create_index("ix_inputs_created_at_sha256", "inputs", ["created_at", "sha256"])
    op.add_column("predictions", sa.Column("alias", sa.Text(), nullable=True))
    _add_constant("predictions", "source", "api")
    _add_constant("predictions", "kind", "probabilities")
    op.add_column("predictions", sa.Column("answer", postgresql.JSONB(), nullable=True))
    op.create_check_constraint(op.f("ck_predictions_source"), "predictions", "source in ('ui', 'api', 'v2')")


def downgrade() -> None:
    op.execute(
        "delete from predictions p using inputs i where i.sha256 = p.input_sha256 and i.kind <> 'image'"
    )
    op.execute("delete from inputs where kind <> 'image'")
    op.drop_constraint(op.f("ck_predictions_source"), "predictions")
    for column in ("answer", "kind", "source", "alias"):
        op.drop_column("predictions", column)
    op.drop_index("ix_inputs_created_at_sha256", "inputs")
    for column in ("summary", "media_type", "kind"):
        op.drop_column("inputs", column)
    for side in ("width", "height"):
        op.alter_column("inputs", side, nullable=False)
    op.rename_table("inputs", "images")
    _rename_parts("input", "image")
    _rename_kind("input", "image")


def _rename_kind(old: str, new: str) -> None:
    """Of the ledger's objects, and in what a check of the store has found and reached."""
    op.drop_constraint(op.f("ck_stored_objects_kind"), "stored_objects")
    op.execute(f"update stored_objects set kind = '{new}' where kind = '{old}'")
    op.create_check_constraint(
        op.f("ck_stored_objects_kind"), "stored_objects", f"kind in ('archive', '{new}')"
    )
    op.execute(
        f"update store_checks set position = regexp_replace(position, '^{old}/', '{new}/'), "
        f"""findings = replace(findings::text, '"kind": "{old}"', '"kind": "{new}"')::jsonb"""
    )


def _rename_parts(old: str, new: str) -> None:
    """What has the table's name, or that of the column which refers to it."""
    op.execute(f"alter table {new}s rename constraint pk_{old}s to pk_{new}s")
    op.alter_column("predictions", f"{old}_sha256", new_column_name=f"{new}_sha256")
    op.execute(f"alter index ix_predictions_{old}_sha256 rename to ix_predictions_{new}_sha256")
    op.execute(
        f"alter table predictions rename constraint fk_predictions_{old}_sha256_{old}s "
        f"to fk_predictions_{new}_sha256_{new}s"
    )


def _add_constant(table: str, column: str, value: str) -> None:
    """Add a column that has this value in the rows that are there; no row is rewritten, and later ones say theirs."""
    op.add_column(table, sa.Column(column, sa.Text(), server_default=value, nullable=False))
    op.alter_column(table, column, server_default=None)
