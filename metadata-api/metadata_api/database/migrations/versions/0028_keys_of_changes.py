"""keys of changed experiments are made of what differs alone, so that appends cost no more beside many metrics

Revision: 0028, after 0027.
"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

# Each part of an experiment has keys of its own. Those of what is the same before and after stay as they are.
DIFFERING = """
create function experiment_differing(one jsonb, other jsonb) returns jsonb
language sql immutable strict parallel safe as $$
    select coalesce(jsonb_object_agg(key, value), '{}') from jsonb_each(one)
    where value is distinct from other -> key
$$
"""
CHANGED = """
create function keep_changed_experiment_keys() returns trigger language plpgsql as $$
declare
    before jsonb := jsonb_build_object('name', old.name, 'display_name', old.display_name, 'source', old.source,
        'state', old.state, 'created_at', old.created_at,
        'metrics', experiment_differing(old.metrics, new.metrics),
        'parameters', experiment_differing(old.parameters, new.parameters),
        'tags', experiment_differing(old.tags, new.tags));
    after jsonb := jsonb_build_object('name', new.name, 'display_name', new.display_name, 'source', new.source,
        'state', new.state, 'created_at', new.created_at,
        'metrics', experiment_differing(new.metrics, old.metrics),
        'parameters', experiment_differing(new.parameters, old.parameters),
        'tags', experiment_differing(new.tags, old.tags));
    had bytea[] := array(select experiment_keys_of(before));
    has bytea[] := array(select experiment_keys_of(after));
begin
    delete from experiment_keys where experiment_id = new.id and key in (
        select unnest(had) except select unnest(has));
    insert into experiment_keys (experiment_id, key)
        select new.id, key from (select unnest(has) except select unnest(had)) added (key) on conflict do nothing;
    insert into experiment_fields (section, name)
        select distinct field.section, field.name
        from experiment_fields_of(after -> 'metrics', after -> 'parameters', after -> 'tags') field
        where not exists (
            select from experiment_fields known
            where known.section = field.section and known.name = field.name
        );
    return null;
end
$$
"""
COLUMNS = ("name", "display_name", "source", "state", "created_at", "metrics", "parameters", "tags")
TRIGGER = (
    "create trigger keep_keys_of_changed after update on experiments "
    "for each row when ({condition}) execute function {function}()"
)


def upgrade() -> None:
    op.execute(DIFFERING)
    op.execute(CHANGED)
    old, new = (f"({', '.join(f'{row}.{column}' for column in COLUMNS)})" for row in ("old", "new"))
    _replace_trigger(f"{old} is distinct from {new}", "keep_changed_experiment_keys")


def downgrade() -> None:
    _replace_trigger("old.* is distinct from new.*", "keep_experiment_keys")
    op.execute("drop function keep_changed_experiment_keys()")
    op.execute("drop function experiment_differing(jsonb, jsonb)")


def _replace_trigger(condition: str, function: str) -> None:
    op.execute("drop trigger keep_keys_of_changed on experiments")
    op.execute(TRIGGER.format(condition=condition, function=function))
