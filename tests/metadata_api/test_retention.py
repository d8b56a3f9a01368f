"""What is too old, too many or too large goes in batches, oldest first, and nothing else does."""

import json

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from metadata_api import retention
from metadata_api.database.prediction_tables import Input
from metadata_api.database.session import Sessions
from metadata_api.settings.stores import Retention
from tests.metadata_api.conftest import row_counts
from tests.metadata_api.making import make_deployment
from tests.metadata_api.test_deletions import predict

UNLIMITED = Retention(
    predictions_days=0,
    predictions_rows=0,
    inputs_bytes=0,
    imports_days=0,
    imports_rows=0,
    events_days=0,
    events_rows=0,
)
A, B, C = ("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture(scope="module")
def engine(own_engine: Engine) -> Engine:
    return own_engine


def applied(sessions: Sessions, **keep: int) -> int:
    """Rounds until nothing is over; how many rows went."""
    deleted = 0
    while found := retention.apply(sessions, UNLIMITED.model_copy(update=keep)):
        deleted += found
    return deleted


def inputs(engine: Engine) -> list[str]:
    with Session(engine) as session:
        return list(session.scalars(select(Input.sha256).order_by(Input.sha256)))


def test_without_limits_everything_stays(sessions: Sessions, engine: Engine) -> None:
    predict(engine, A, count=5, days=5000)
    assert applied(sessions) == 0
    assert row_counts(engine)["predictions"] == 5


def test_old_predictions_go_with_the_inputs_that_no_other_is_about(
    sessions: Sessions, engine: Engine
) -> None:
    predict(engine, A, count=1500, days=400)
    predict(engine, B, count=3, days=400)
    predict(engine, B, count=2)
    assert applied(sessions, predictions_days=365) == 1503
    assert row_counts(engine)["predictions"] == 2
    assert inputs(engine) == [B]


def test_only_so_many_of_the_newest_stay(sessions: Sessions, engine: Engine) -> None:
    predict(engine, A, count=2500)
    predict(engine, B, count=100)
    assert applied(sessions, predictions_rows=100) == 2500
    assert inputs(engine) == [B]


def test_inputs_stay_below_their_bytes(sessions: Sessions, engine: Engine) -> None:
    for sha256 in (A, B, C):
        predict(engine, sha256, count=100)
    applied(sessions, inputs_bytes=2000)
    assert inputs(engine) == [B, C]
    assert row_counts(engine)["predictions"] == 200


def test_inputs_that_no_prediction_is_about_go_before_any_prediction(
    sessions: Sessions, engine: Engine
) -> None:
    with engine.begin() as connection:
        for sha256 in ("d" * 64, "e" * 64):
            insert = "insert into inputs (sha256, kind, media_type, size) values (:sha256, 'text', 'text/plain', 1000)"
            connection.execute(text(insert), {"sha256": sha256})
    predict(engine, A, count=5)
    assert applied(sessions, inputs_bytes=2000) == 2
    assert inputs(engine) == [A]
    assert row_counts(engine)["predictions"] == 5


def test_reports_events_and_the_audit_log_have_limits_of_their_own(
    sessions: Sessions, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into deployment_events (deployment, kind) select 'd', 'ready' from generate_series(1, 30)"
            )
        )
        connection.execute(
            text(
                "insert into imports "
                "(filename, sha256, accepted, unchanged, rejected, problems, experiments, created_at) "
                "select '', '', 0, 0, 0, '[]', '[]', now() - make_interval(days => 10 * n) "
                "from generate_series(9, 0, -1) n"
            )
        )
    assert applied(sessions, events_rows=10, imports_days=45) == 20 + 5
    counts = row_counts(engine)
    assert (counts["deployment_events"], counts["imports"]) == (10, 5)


def test_the_last_two_events_of_an_alias_stay_because_rolling_back_goes_by_them(
    sessions: Sessions, engine: Engine
) -> None:
    make_deployment(engine, "digits")
    insert = "insert into alias_events (alias, deployment, version, at) "
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into aliases (name, deployment_id, version_id) "
                "select 'champion', id, version_id from deployments"
            )
        )
        for alias in ("champion", "gone", "busy"):
            values = f"select '{alias}', 'digits', n, now() - interval '9 days' from generate_series(1, 5) n"
            connection.execute(text(insert + values))
    assert applied(sessions, events_rows=4) == 9
    with engine.connect() as connection:
        kept = connection.execute(text("select alias, version from alias_events order by id")).all()
    assert kept == [("champion", 4), ("champion", 5), *(("busy", number) for number in (2, 3, 4, 5))]
    assert applied(sessions, events_days=7) == 4


def test_an_image_that_somebody_is_just_asking_about_stays(sessions: Sessions, engine: Engine) -> None:
    predict(engine, A, count=1, days=400)
    with Session(engine) as asking:
        asking.execute(select(Input).where(Input.sha256 == A).with_for_update(read=True, key_share=True))
        assert applied(sessions, predictions_days=365) == 1
        assert inputs(engine) == [A]


def test_recorded_traffic_goes_when_its_deployment_says_and_all_else_stays(
    sessions: Sessions, engine: Engine
) -> None:
    make_deployment(engine, "digits")
    predict(engine, A, count=1200, days=40)
    predict(engine, B, count=2, days=10)
    with engine.begin() as connection:
        connection.execute(text("update predictions set source = 'v2'"))
    predict(engine, C, count=3, days=40)
    assert applied(sessions) == 0, "nobody has said how long it is kept"
    with engine.begin() as connection:
        setting = {"rate": 0, "answers": True, "retention_days": 30}
        connection.execute(
            text("update deployments set recording = cast(:it as jsonb)"), {"it": json.dumps(setting)}
        )
        label = "(input_sha256, task, label, author, chosen, created_at)"
        values = "(:sha, 'digits', '5', 'me', 'other', now())"
        connection.execute(text(f"insert into labels {label} values {values}"), {"sha": B})
    assert applied(sessions) == 1200
    assert inputs(engine) == [B, C]
    with engine.begin() as connection:
        connection.execute(text("update predictions set created_at = now() - interval '60 days'"))
    assert applied(sessions) == 0, "what is labelled stays, and so do predictions of others"
