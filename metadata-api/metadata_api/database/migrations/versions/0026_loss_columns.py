"""the best and final loss of lists are keys like all others

Revision: 0026, after 0025.
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Their indexes go with them.
    op.drop_column("experiments", "best_loss")
    op.drop_column("experiments", "final_loss")


def downgrade() -> None:
    for name in ("final", "best"):
        op.add_column("experiments", sa.Column(f"{name}_loss", sa.Double(), nullable=True))
        op.execute(
            f"update experiments set {name}_loss = (metrics #>> '{{loss,{name}}}')::float8 where metrics ? 'loss'"
        )
        for direction, suffix in (("asc", ""), ("desc", "_desc")):
            op.execute(
                f"create index ix_experiments_{name}_loss{suffix} on experiments "
                f"({name}_loss {direction} nulls last, id {direction})"
            )
