"""version numbers are never given again

Revision: 0012, after 0011.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "version_numbers",
        sa.Column("experiment", sa.Text(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("experiment", name=op.f("pk_version_numbers")),
    )
    op.execute(
        "insert into version_numbers (experiment, last) select e.name, max(v.number) "
        "from model_versions v join experiments e on e.id = v.experiment_id group by e.name"
    )
    if sa.inspect(op.get_bind()).has_table("restored_numbers"):
        _take_over()


def _take_over() -> None:
    """A restore of a dump from before this table left the numbers that the database before it knew.

    What that one did not know may have been given since; so many surely were not.
    """
    op.execute(
        "update version_numbers v set last = last + 1000 where not exists "
        "(select from restored_numbers g where g.experiment = v.experiment and g.last >= v.last)"
    )
    op.execute(
        "insert into version_numbers (experiment, last) select experiment, last from restored_numbers "
        "on conflict (experiment) do update set last = greatest(version_numbers.last, excluded.last)"
    )
    op.drop_table("restored_numbers")


def downgrade() -> None:
    op.drop_table("version_numbers")
