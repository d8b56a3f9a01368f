"""Experiments from before there were keys: all get them, and the best of what is better when higher is its highest."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from metadata_api.database import migrate
from metadata_api.experiments import list_page, show
from metadata_api.schemas.experiments import Listing
from tests.databases import own_database

BEFORE = "0024"
FILL = """
insert into experiments (name, display_name, source, parameters, tags, metrics, best_loss) select
    'run-' || n, 'Run ' || n, 'api', jsonb_build_object('lr', n / 10.0, 'on', n % 2 = 0), '{"team": "A"}',
    '{"val_f1": {"direction": "min", "best": 0.1, "best_step": 1, "final": 0.5, "final_step": 3, "points": 3},
      "loss": {"direction": "min", "best": 0.2, "best_step": 2, "final": 0.3, "final_step": 3, "points": 3}}', 0.2
from generate_series(1, 50) n
"""
POINTS = """
insert into metric_points (experiment_id, metric, points, non_finite, first_step, first_value, last_step, last_value,
    min_step, min_value, max_step, max_value, steps, values)
select id, metric, 3, 0, 1, 0.1, 3, 0.5, 1, 0.1, 2, 0.9, '{1,2,3}', '{0.1,0.9,0.5}'
from experiments, unnest(array['val_f1', 'loss']) metric
"""
DIFFERENCE = """
select count(*) from (
    (select id, key from experiments, experiment_keys_of(to_jsonb(experiments)) key
     except select experiment_id, key from experiment_keys)
    union all
    (select experiment_id, key from experiment_keys
     except select id, key from experiments, experiment_keys_of(to_jsonb(experiments)) key)
) different
"""


def test_what_was_there_before_is_listed_like_what_comes_after(postgres_url: str) -> None:
    with own_database(postgres_url, BEFORE) as engine:
        with engine.begin() as connection:
            connection.execute(text(FILL))
            connection.execute(text(POINTS))
        migrate.upgrade(engine)
        with Session(engine) as session, session.begin():
            session.execute(
                text(FILL.replace("'run-'", "'new-'").replace(", best_loss)", ")").replace(", 0.2\n", "\n"))
            )
            asked = Listing(
                filter="metrics.val_f1 = 0.9 and params.lr <= 0.3 and tags.team = 'A'", sort="name"
            )
            page = list_page(session, asked, limit=10, cursor=None)
            assert [item.name for item in page.items] == ["run-1", "run-2", "run-3"]
            summary = show(session, "run-1").metrics["val_f1"]
            assert (summary.direction, summary.best, summary.best_step) == ("max", 0.9, 2)
            assert show(session, "run-1").metrics["loss"].best == 0.2
            assert list_page(session, Listing(filter="params.lr <= 0.3"), limit=10, cursor=None).total == 6
            assert session.scalar(text(DIFFERENCE)) == 0
            named = session.execute(
                text("select section || '.' || name from experiment_fields order by 1")
            ).scalars()
            assert [*named] == ["metrics.loss", "metrics.val_f1", "params.lr", "params.on", "tags.team"]
