"""Changes of experiments keep their keys right, and look at what changed alone."""

import json
import random
import time
from typing import Any

from sqlalchemy import Connection, text

from metadata_api.database import migrate
from tests.databases import own_database
from tests.metadata_api.database.test_keys_migration import DIFFERENCE

BEFORE = "0027"
"""Before the trigger looked at what changed alone, and before there was a key to be searched."""
EXPERIMENTS = 12
VALUES = [None, True, False, 1, 1.0, -2.5, "A", "a", "Ab", "x" * 600, "X" * 501, ""]
"""Some have the same key as others, and texts count up to 500 characters."""
ADD = """
insert into experiments (name, display_name, source, parameters, tags, metrics)
values (:name, 'A', 'api', :parameters, :tags, :metrics)
"""
CHANGE = """
update experiments set name = :name, display_name = :display_name, state = :state, notes = :notes,
    parameters = cast(:parameters as jsonb), tags = cast(:tags as jsonb), metrics = cast(:metrics as jsonb)
where id = :id
"""
APPEND = """
update experiments set points_at = now(), metrics = metrics || jsonb_build_object('m1',
    metrics -> 'm1' || jsonb_build_object('final', cast(:number as float8))) where name = 'wide'
"""
UNKNOWN_NAMES = """
select count(*) from (
    select f.section, f.name from experiments e, experiment_fields_of(e.metrics, e.parameters, e.tags) f
    except select section, name from experiment_fields
) unknown
"""


def test_random_changes_leave_exactly_the_keys_that_an_experiment_has(postgres_url: str) -> None:
    chance = random.Random(5)
    with own_database(postgres_url) as engine, engine.begin() as connection:
        for number in range(EXPERIMENTS):
            _add(connection, f"run-{number}", **_content(chance))
        for number in range(150):
            change = {
                "id": chance.randint(1, EXPERIMENTS),
                "name": f"renamed-{number}",
                "display_name": chance.choice("aBc"),
                "state": chance.choice(["running", "failed"]),
                "notes": str(number),
            }
            connection.execute(text(CHANGE), change | _as_json(_content(chance)))
            if number % 15 == 14:
                assert connection.scalar(text(DIFFERENCE)) == 0
        assert connection.scalar(text(UNKNOWN_NAMES)) == 0


def test_keys_stay_right_through_an_upgrade_and_a_downgrade(postgres_url: str) -> None:
    chance = random.Random(6)
    with own_database(postgres_url, BEFORE) as engine:
        with engine.begin() as connection:
            for number in range(EXPERIMENTS):
                _add(connection, f"run-{number}", **_content(chance))
        for move in (migrate.upgrade, lambda engine: migrate.downgrade(engine, BEFORE), migrate.upgrade):
            move(engine)
            with engine.begin() as connection:
                for number in range(1, EXPERIMENTS + 1):
                    change = {
                        "id": number,
                        "name": f"changed-{number}",
                        "display_name": "B",
                        "state": "finished",
                        "notes": "",
                    }
                    connection.execute(text(CHANGE), change | _as_json(_content(chance)))
                assert connection.scalar(text(DIFFERENCE)) == 0


def test_an_append_beside_many_metrics_costs_less_than_before(postgres_url: str) -> None:
    with own_database(postgres_url, BEFORE) as engine:
        with engine.begin() as connection:
            metrics = {f"m{number}": {"best": number, "final": number} for number in range(200)}
            _add(connection, "wide", parameters={}, tags={}, metrics=metrics)
        took = []
        for revision in (BEFORE, "head"):
            migrate.upgrade(engine, revision)
            with engine.begin() as connection:
                took.append(min(_append(connection, number) for number in range(20)))
        before, now = took
        assert now < before / 2, f"{before * 1000:.1f} ms before, now {now * 1000:.1f}"


def _add(connection: Connection, name: str, **content: Any) -> None:
    connection.execute(text(ADD), {"name": name, **_as_json(content)})


def _append(connection: Connection, number: int) -> float:
    """Seconds that a change of one metric takes."""
    begin = time.perf_counter()
    connection.execute(text(APPEND), {"number": number})
    return time.perf_counter() - begin


def _content(chance: random.Random) -> dict[str, Any]:
    def some() -> dict[str, Any]:
        names = chance.sample(["a", "b", "a.best", "B", "c.d"], chance.randint(0, 5))
        return {name: chance.choice(VALUES) for name in names}

    names = chance.sample(["a", "b", "a.best", "B"], chance.randint(0, 4))
    metrics = {
        name: {"best": chance.choice([None, 1, 2.5, -0.0]), "final": chance.choice([None, 1, 3])}
        for name in names
    }
    return {"parameters": some(), "tags": some(), "metrics": metrics}


def _as_json(content: dict[str, Any]) -> dict[str, str]:
    return {key: json.dumps(value) for key, value in content.items()}
