"""a key of both names of an experiment in small letters, so that a search reads one key of each

Reads go on; creating and changing experiments waits meanwhile, a few seconds for 100,000.

Revision: 0032, after 0031.
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

PART = 10_000
# Between the names stands what neither can have in it. As before, 500 characters of each count.
NAMES = """
        select substr(sha256('names'), 1, 6) || '\\x04'::bytea
            || convert_to(lower(left(experiment ->> 'name', 500)), 'UTF8') || '\\x00'::bytea
            || convert_to(lower(left(experiment ->> 'display_name', 500)), 'UTF8')
"""
KEYS_OF = """
create or replace function experiment_keys_of(experiment jsonb) returns setof bytea
language sql stable strict parallel safe as $$
    with found (field, value) as (
        select key, experiment -> key from unnest(array['name', 'display_name', 'source', 'state']) key
        union all
        select 'metrics.' || metric.key || '.' || part, metric.value -> part
        from jsonb_each(experiment -> 'metrics') metric, unnest(array['best', 'final']) part
        union all
        select 'params.' || key, value from jsonb_each(experiment -> 'parameters')
        union all
        select 'tags.' || key, value from jsonb_each(experiment -> 'tags')
    ), typed (field, type, text) as (
        select field, jsonb_typeof(value), left(value #>> '{{}}', 500) from found
    ), keys (field, rest) as (
        select field, '\\x01'::bytea || case text when 'true' then '\\x01'::bytea else '\\x00' end
        from typed where type = 'boolean'
        union all
        select field, '\\x02'::bytea || experiment_number(text::float8) from typed where type = 'number'
        union all
        select field, '\\x03'::bytea || convert_to(text, 'UTF8') from typed where type = 'string'
        union all
        select field, '\\x04'::bytea || convert_to(lower(text), 'UTF8')
        from typed where type = 'string' and lower(text) <> text
        union all
        select 'created_at', '\\x02'::bytea
            || experiment_number((extract(epoch from (experiment ->> 'created_at')::timestamptz) * 1000000)::float8)
    )
    select substr(sha256(convert_to(field, 'UTF8')), 1, 6) || rest from keys{more}
$$
"""


def upgrade() -> None:
    op.execute("lock table experiments in share row exclusive mode")
    op.execute(KEYS_OF.format(more=f"\n    union all{NAMES}"))
    connection = op.get_bind()
    last = connection.scalar(sa.text("select max(id) from experiments")) or 0
    names = NAMES.replace("experiment ->> 'name'", "name").replace(
        "experiment ->> 'display_name'", "display_name"
    )
    fill = sa.text(
        f"insert into experiment_keys (experiment_id, key) select id, ({names}) from experiments "
        "where id >= :first and id < :beyond"
    )
    for first in range(0, last + 1, PART):
        connection.execute(fill, {"first": first, "beyond": first + PART})


def downgrade() -> None:
    op.execute("lock table experiments in share row exclusive mode")
    op.execute(KEYS_OF.format(more=""))
    op.execute(
        "delete from experiment_keys where key >= substr(sha256('names'), 1, 6) "
        "and key < substr(sha256('names'), 1, 6) || '\\xff'::bytea"
    )
