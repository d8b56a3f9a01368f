"""typed keys of experiments, which lists are filtered and sorted by; the best of metrics that are better when higher

Reads go on. Creating and changing experiments waits until this has ended: 100,000 experiments with 20 metrics and 20
parameters take two to four minutes, so the keys are made in parts of 2,000 experiments, each well within the deadline
of a statement.

Revision: 0025, after 0024.
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

PART = 2000
# The best of a metric was its highest value only where the name ended with accuracy. Known names as they are now.
LOWER = """
loss error errors mae mse rmse msle rmsle mape smape medae nll bce cer wer per ter eer fid perplexity ppl brier
divergence kl latency time duration seconds ms memory fpr fnr far frr hamming distance regret
"""
HIGHER = """
accuracy acc top1 top5 f1 f2 fbeta auc auroc auprc roc ap map precision recall sensitivity specificity tpr tnr
iou miou dice jaccard r2 bleu rouge meteor ndcg mrr psnr ssim mcc kappa correlation pearson spearman kendall
score reward return throughput likelihood elbo hits
"""
# The key of a value is field (6 bytes), type (1 byte), value; they sort as the values do. Of a text 500 characters
# count, and one with capitals is there once more in small letters, to be searched. See metadata_api/listing/keys.py.
KEYS_OF = """
create function experiment_keys_of(experiment jsonb) returns setof bytea
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
        select field, jsonb_typeof(value), left(value #>> '{}', 500) from found
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
    select substr(sha256(convert_to(field, 'UTF8')), 1, 6) || rest from keys
$$
"""
# Positive numbers get the sign bit, of negative ones every bit is turned: then they sort as bytes do.
NUMBER = """
create function experiment_number(number float8) returns bytea
language sql immutable strict parallel safe as $$
    select case when number >= 0
        then set_byte(float8send(number + 0.0), 0, get_byte(float8send(number + 0.0), 0) | 128)
        else int8send((~ ('x' || encode(float8send(number), 'hex'))::bit(64))::bigint) end
$$
"""
FIELDS_OF = """
create function experiment_fields_of(metrics jsonb, parameters jsonb, tags jsonb)
returns table (section text, name text) language sql immutable parallel safe as $$
    select 'metrics', jsonb_object_keys(metrics)
    union all select 'params', jsonb_object_keys(parameters)
    union all select 'tags', jsonb_object_keys(tags)
$$
"""
KEEP = """
create function keep_experiment_keys() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into experiment_keys (experiment_id, key)
            select added.id, key from added, experiment_keys_of(to_jsonb(added)) key on conflict do nothing;
        insert into experiment_fields (section, name)
            select distinct field.section, field.name
            from added, experiment_fields_of(added.metrics, added.parameters, added.tags) field
            where not exists (
                select from experiment_fields known
                where known.section = field.section and known.name = field.name
            );
    elsif tg_op = 'DELETE' then
        delete from experiment_keys where experiment_id in (select id from removed);
    else
        delete from experiment_keys where experiment_id = new.id and key in (
            select experiment_keys_of(to_jsonb(old)) except select experiment_keys_of(to_jsonb(new)));
        insert into experiment_keys (experiment_id, key)
            select new.id, key from (
                select experiment_keys_of(to_jsonb(new)) except select experiment_keys_of(to_jsonb(old))
            ) added (key) on conflict do nothing;
        insert into experiment_fields (section, name)
            select distinct field.section, field.name
            from experiment_fields_of(new.metrics, new.parameters, new.tags) field
            where not exists (
                select from experiment_fields known
                where known.section = field.section and known.name = field.name
            );
    end if;
    return null;
end
$$
"""
TRIGGERS = (
    "create trigger keep_keys_of_added after insert on experiments referencing new table as added "
    "for each statement execute function keep_experiment_keys()",
    "create trigger keep_keys_of_removed after delete on experiments referencing old table as removed "
    "for each statement execute function keep_experiment_keys()",
    "create trigger keep_keys_of_changed after update on experiments "
    "for each row when (old.* is distinct from new.*) execute function keep_experiment_keys()",
)
# The highest value of a curve, and the first step that has it.
HIGHEST = """
update experiments set metrics = metrics || highest.found from (
    select e.id, jsonb_object_agg(p.metric, e.metrics -> p.metric
        || jsonb_build_object('best', p.max_value, 'best_step', p.max_step, 'direction', 'max')) as found
    from experiments e join (
        select distinct on (experiment_id, metric) experiment_id, metric, max_value, max_step from metric_points
        where max_value is not null and metric = any(:names) order by experiment_id, metric, max_value desc, max_step
    ) p on p.experiment_id = e.id where e.metrics ? p.metric and not e.directions ? p.metric group by e.id
) highest where highest.id = experiments.id
"""


def upgrade() -> None:
    # Writers wait, readers do not.
    op.execute("lock table experiments in share row exclusive mode")
    op.create_table(
        "experiment_keys",
        sa.Column("experiment_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "experiment_fields",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("section", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiment_fields")),
    )
    op.create_index("ix_experiment_fields_section_name", "experiment_fields", ["section", "name"])
    for function in (NUMBER, KEYS_OF, FIELDS_OF, KEEP):
        op.execute(function)
    _fill()
    for trigger in TRIGGERS:
        op.execute(trigger)


def downgrade() -> None:
    for trigger in ("added", "removed", "changed"):
        op.execute(f"drop trigger keep_keys_of_{trigger} on experiments")
    for function in (
        "keep_experiment_keys()",
        "experiment_fields_of(jsonb, jsonb, jsonb)",
        "experiment_keys_of(jsonb)",
        "experiment_number(float8)",
    ):
        op.execute(f"drop function {function}")
    op.drop_table("experiment_fields")
    op.drop_table("experiment_keys")


def _fill() -> None:
    connection = op.get_bind()
    names = connection.scalars(sa.text("select distinct jsonb_object_keys(metrics) from experiments")).all()
    higher = [name for name in names if _is_higher_better(name) and not name.endswith("accuracy")]
    if higher:
        connection.execute(sa.text(HIGHEST), {"names": higher})
    last = connection.scalar(sa.text("select max(id) from experiments")) or 0
    for first in range(0, last + 1, PART):
        what = {"first": first, "beyond": first + PART}
        connection.execute(
            sa.text(
                "insert into experiment_keys (experiment_id, key) select distinct e.id, key "
                "from experiments e, experiment_keys_of(to_jsonb(e)) key where e.id >= :first and e.id < :beyond"
            ),
            what,
        )
    op.execute(
        "insert into experiment_fields (section, name) select distinct field.* "
        "from experiments e, experiment_fields_of(e.metrics, e.parameters, e.tags) field"
    )
    op.create_primary_key(op.f("pk_experiment_keys"), "experiment_keys", ["experiment_id", "key"])
    op.create_index("ix_experiment_keys_key_experiment_id", "experiment_keys", ["key", "experiment_id"])
    # Estimates go by one column for all fields, so it needs many steps to tell them apart.
    op.execute("alter table experiment_keys alter column key set statistics 5000")
    op.execute("analyze experiment_keys")


def _is_higher_better(metric: str) -> bool:
    """As `metadata_api.directions.of` said when this was written."""
    lower, higher = set(LOWER.split()), set(HIGHER.split())
    words = [metric, *reversed(re.findall(r"[A-Z]?[a-z]+[0-9]*|[A-Z]+(?![a-z])[0-9]*|[0-9]+", metric))]
    for word in map(str.lower, words):
        for form in (word, word.rstrip("0123456789")):
            if form in lower or form in higher:
                return form in higher
        for start in range(1, len(word) - 3):
            if word[start:] in lower or word[start:] in higher:
                return word[start:] in higher
    return False
