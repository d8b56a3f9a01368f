"""the task of every version, and as a key of the experiment that of its newest one

Revision: 0031, after 0030.
"""

import sqlalchemy as sa
from alembic import op

from serving_runtime.archive import interface

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

# Versions whose spec says no task have one by what they take and give; no SQL can say which.
WITHOUT = """
select id, inputs, outputs, labels, handler from model_versions
where task is null and id > :last order by id limit 500
"""
KEEP = """
create function keep_experiment_task() returns trigger language plpgsql as $$
declare
    experiment bigint := coalesce(new.experiment_id, old.experiment_id);
    field bytea := substr(sha256('task'), 1, 6);
    newest text;
begin
    -- Of two changes at once the later one sees the other.
    perform from experiments where id = experiment for no key update;
    select left(task, 500) into newest from model_versions
        where experiment_id = experiment order by number desc limit 1;
    delete from experiment_keys where experiment_id = experiment and key >= field and key < field || '\\x05';
    insert into experiment_keys (experiment_id, key)
        select experiment, field || '\\x03' || convert_to(newest, 'UTF8') where newest is not null
        union select experiment, field || '\\x04' || convert_to(lower(newest), 'UTF8') where lower(newest) <> newest
        on conflict do nothing;
    return null;
end
$$
"""
FILL = """
insert into experiment_keys (experiment_id, key)
select experiment_id, substr(sha256('task'), 1, 6) || rest from (
    select distinct on (experiment_id) experiment_id, left(task, 500) as task from model_versions
    order by experiment_id, number desc
) newest, lateral (
    select '\\x03'::bytea || convert_to(task, 'UTF8') where task is not null
    union select '\\x04'::bytea || convert_to(lower(task), 'UTF8') where lower(task) <> task
) keys (rest) on conflict do nothing
"""


def upgrade() -> None:
    # Uploads wait, reads go on.
    op.execute("lock table model_versions in share row exclusive mode")
    _derive()
    op.execute(KEEP)
    op.execute(
        "create trigger keep_task after insert or delete or update of task, number on model_versions "
        "for each row execute function keep_experiment_task()"
    )
    op.execute(FILL)


def downgrade() -> None:
    op.execute("drop trigger keep_task on model_versions")
    op.execute("drop function keep_experiment_task()")
    op.execute(
        "delete from experiment_keys using (select substr(sha256('task'), 1, 6) as digest) field "
        "where key >= field.digest and key < field.digest || '\\x05'"
    )


def _derive() -> None:
    connection = op.get_bind()
    last = 0
    while rows := connection.execute(sa.text(WITHOUT), {"last": last}).all():
        found = [
            {
                "id": row.id,
                "task": interface.of_documents(row.inputs, row.outputs, row.labels, row.handler).task,
            }
            for row in rows
        ]
        connection.execute(sa.text("update model_versions set task = :task where id = :id"), found)
        last = rows[-1].id
