"""What the reconcile loop writes down, and what it leaves alone."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from metadata_api.deploying import rows
from metadata_api.deploying.base import ServingOptions
from metadata_api.deploying.status import Status
from tests.metadata_api.making import make_deployment

READY = Status("ready", 1, None)


@pytest.fixture
def found(session: Session, engine: Engine) -> rows.Row:
    """A deployment as it was read."""
    make_deployment(engine, "digits")
    [row] = rows.read_all(session)
    session.rollback()
    return row


def written(session: Session) -> tuple[Status, list[str]]:
    """The status, and the kinds of all events."""
    session.commit()
    [row] = rows.read_all(session)
    return row.status, list(session.scalars(text("select kind from deployment_events order by id")))


def test_a_new_status_is_written_with_an_event(session: Session, found: rows.Row) -> None:
    rows.write_statuses(session, [(found, READY)])
    assert written(session) == (READY, ["ready"])


@pytest.mark.parametrize(
    ("status", "version"),
    [
        (Status("pending", 1, "Not taken up yet."), 2),
        (Status("starting", 1, None), 2),
        (Status("failed", 1, "It raised."), 2),
        (Status("ready", 2, None), 2),
        (Status("unknown", None, "Nothing can be observed."), None),
    ],
    ids=lambda value: value.state if isinstance(value, Status) else "",
)
def test_an_event_names_the_version_that_is_on_its_way_not_the_one_that_still_answers(
    session: Session, found: rows.Row, status: Status, version: int | None
) -> None:
    second = replace(found, desired=replace(found.desired, version=2), status=Status("ready", 1, None))
    rows.write_statuses(session, [(second, status)])
    session.commit()
    assert session.execute(text("select kind, version from deployment_events")).all() == [
        (status.state, version)
    ]


def test_one_that_is_being_stopped_names_the_version_that_still_answers(
    session: Session, found: rows.Row
) -> None:
    stopped = replace(found, desired=replace(found.desired, version=2), is_running=False)
    rows.write_statuses(session, [(stopped, Status("pending", 1, "It is being stopped."))])
    session.commit()
    assert session.scalar(text("select version from deployment_events")) == 1


def test_how_the_worker_is_contained_is_written_without_an_event(session: Session, found: rows.Row) -> None:
    contained = found.status._replace(containment={"landlock": 7, "limits": {"processes": None}})
    rows.write_statuses(session, [(found, contained)])
    assert written(session) == (contained, [])


def test_another_reason_is_written_without_one(session: Session, found: rows.Row) -> None:
    reworded = found.status._replace(reason="another")
    rows.write_statuses(session, [(found, reworded)])
    assert written(session) == (reworded, [])


@pytest.mark.parametrize(
    "change",
    ["desired = 'stopped'", "observed_state = 'failed'", "replicas = 2"],
    ids=["by a request", "by another replica", "by Helm"],
)
def test_a_row_that_was_changed_since_it_was_read_is_left_alone(
    session: Session, engine: Engine, found: rows.Row, change: str
) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"update deployments set {change}"))
    before = written(session)
    rows.write_statuses(session, [(found, READY)])
    assert written(session) == before


def test_one_that_is_gone_leaves_no_event(session: Session, engine: Engine, found: rows.Row) -> None:
    with engine.begin() as connection:
        connection.execute(text("delete from deployments"))
    rows.write_statuses(session, [(found, READY)])
    session.commit()
    assert session.scalar(text("select count(*) from deployment_events")) == 0


@pytest.mark.parametrize(
    ("own", "archive", "desired"),
    [
        (ServingOptions(), None, ServingOptions()),
        (ServingOptions(), {"startup_seconds": 120.5, "response_seconds": None}, ServingOptions(121, None)),
        (
            ServingOptions(60, None),
            {"startup_seconds": 120.0, "response_seconds": 20.0},
            ServingOptions(60, 20),
        ),
        (
            ServingOptions(batch_delay_ms=0),
            {"startup_seconds": None, "batch_size": 8, "batch_delay_seconds": 0.1},
            ServingOptions(batch_delay_ms=0),
        ),
        (ServingOptions(), {"startup_seconds": 86_400.0, "response_seconds": 0.1}, ServingOptions(3600, 1)),
    ],
)
def test_what_a_deployment_does_not_say_of_its_timeouts_its_archive_says(
    own: ServingOptions, archive: dict[str, float] | None, desired: ServingOptions
) -> None:
    assert own.or_of_archive(archive) == desired
