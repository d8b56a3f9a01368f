"""What is desired reaches the serving process, and what is seen there comes back, through every outage."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text

from metadata_api.app import create_app
from metadata_api.database.session import connect
from metadata_api.settings import Settings
from tests.metadata_api.deploying.asking import URL, deploy, events, seen, shown
from tests.metadata_api.deploying.rounds import QUICK, wait_for_rounds
from tests.metadata_api.making import make_version
from tests.metadata_api.servers import Front, V2Server, running
from tests.waiting import until


def test_while_a_new_version_starts_the_old_one_is_the_one_that_answers(
    api: httpx.Client, front: Front
) -> None:
    deploy(api)
    # What it says once it has read the file, whatever is wanted until then.
    front.states["digits"] = {"state": "starting", "desired_version": "2", "live_version": "1"}
    api.patch(f"{URL}/digits", json={"version": 2})
    until(lambda: seen(api) == ("starting", 1, None))
    assert (shown(api)["version"], shown(api)["ready"]) == (2, False)
    del front.states["digits"]
    until(lambda: seen(api) == ("ready", 2, None))
    assert shown(api)["ready"]
    order = [("create", 1), ("ready", 1), ("change", 2), ("starting", 2), ("ready", 2)]
    assert [event for event in events(api) if event[0] != "pending"] == order


def test_until_serving_has_read_the_file_a_new_version_is_not_called_ready(
    api: httpx.Client, front: Front
) -> None:
    deploy(api)
    front.states["digits"] = {"desired_version": "1", "live_version": "1"}
    api.patch(f"{URL}/digits", json={"version": 2})
    until(lambda: seen(api)[0] == "pending")
    assert seen(api) == ("pending", 1, "The serving process has not taken up version 2 yet.")
    assert not shown(api)["ready"]


def test_another_runtime_reaches_the_models_file_and_is_ready_only_when_it_was_taken_up(
    api: httpx.Client, front: Front
) -> None:
    deploy(api)
    front.states["digits"] = {"runtime": "torchserve"}
    api.patch(f"{URL}/digits", json={"runtime": "native"})
    until(lambda: seen(api) == ("pending", 1, "The serving process has not taken up the runtime native yet."))
    del front.states["digits"]
    until(lambda: shown(api)["ready"])
    assert front.models()[0]["runtime"] == "native"


def test_batches_reach_the_models_file(api: httpx.Client, front: Front) -> None:
    deploy(api)
    assert "batch_size" not in front.models()[0]
    api.patch(f"{URL}/digits", json={"batch_size": 4, "batch_delay_ms": 0}).raise_for_status()
    until(lambda: "batch_size" in front.models()[0])
    found = front.models()[0]
    assert (found["batch_size"], found["batch_delay_ms"]) == (4, 0)
    assert (shown(api)["batch_size"], shown(api)["batch_delay_ms"]) == (4, 0)


def test_the_environment_of_a_version_reaches_the_models_file(
    api: httpx.Client, own_engine: Engine, front: Front
) -> None:
    deploy(api)
    assert front.models()[0]["environment"] == "base"
    make_version(own_engine, 9, environment="vision")
    api.patch(f"{URL}/digits", json={"version": 9}).raise_for_status()
    until(lambda: front.models()[0]["environment"] == "vision")


def test_timeouts_reach_the_models_file(api: httpx.Client, front: Front) -> None:
    deploy(api)
    assert "startup_seconds" not in front.models()[0]
    api.patch(f"{URL}/digits", json={"startup_seconds": 600, "response_seconds": 60}).raise_for_status()
    until(lambda: "startup_seconds" in front.models()[0])
    found: dict[str, Any] = {**front.models()[0]}
    assert (found["startup_seconds"], found["response_seconds"]) == (600, 60)


def test_rounds_and_states_are_shown_as_metrics(api: httpx.Client) -> None:
    deploy(api)
    until(lambda: shown(api)["ready"])
    until(lambda: 'marina_deployments{state="ready"} 1.0' in api.get("/metrics").text)
    lines = api.get("/metrics").text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(values['marina_reconcile_rounds_total{outcome="ok"}']) > 0
    assert float(values["marina_reconcile_round_seconds_count"]) > 0
    assert float(values["marina_reconcile_last_success_timestamp_seconds"]) > 1.7e9


def test_a_stopped_deployment_leaves_the_file_and_is_seen_stopped(api: httpx.Client, front: Front) -> None:
    deploy(api)
    api.post(f"{URL}/digits/stop")
    until(lambda: seen(api) == ("stopped", None, None))
    assert front.desired() == {}
    api.post(f"{URL}/digits/start")
    until(lambda: shown(api)["ready"])


def test_a_deleted_deployment_leaves_the_file(api: httpx.Client, front: Front) -> None:
    deploy(api)
    api.delete(f"{URL}/digits")
    until(lambda: front.desired() == {})


def test_a_reason_that_no_database_can_hold_is_cut(api: httpx.Client, front: Front) -> None:
    deploy(api)
    front.states["digits"] = {"state": "failed", "reason": "odd\x00 model" + "x" * 10_000}
    until(lambda: seen(api)[0] == "failed")
    assert (seen(api)[2] or "").startswith("odd model")


def test_how_the_worker_is_contained_is_shown(api: httpx.Client, front: Front) -> None:
    deploy(api)
    front.states["digits"] = {"containment": {"landlock": 7, "namespaces": True}}
    until(lambda: shown(api)["observed"]["containment"] == {"landlock": 7, "namespaces": True})


def test_a_new_reason_is_shown_without_a_new_event(api: httpx.Client, front: Front) -> None:
    deploy(api)
    front.states["digits"] = {"state": "failed", "reason": "first"}
    until(lambda: seen(api)[2] == "first")
    before, since = events(api), shown(api)["observed"]["since"]
    front.states["digits"] = {"state": "failed", "reason": "second"}
    until(lambda: seen(api)[2] == "second")
    assert (events(api), shown(api)["observed"]["since"]) == (before, since)


@pytest.mark.parametrize("answer", [b"<html>", b'{"models": [{"name": 5}]}'])
def test_a_status_that_cannot_be_read_leaves_the_state_unknown(
    api: httpx.Client, serving: V2Server, front: Front, answer: bytes
) -> None:
    deploy(api)
    serving.status = lambda: answer
    until(lambda: seen(api)[0] == "unknown")
    assert "nothing that can be read" in str(seen(api)[2])
    serving.status = front.status
    until(lambda: shown(api)["ready"])


def test_a_models_file_that_was_changed_is_put_right(api: httpx.Client, front: Front) -> None:
    deploy(api)
    front.models_file.write_text('{"models": []}')
    until(lambda: front.desired() == {"digits": "1"})


def test_a_models_file_that_cannot_be_written_is_seen_as_not_taken_up(
    api: httpx.Client, front: Front
) -> None:
    deploy(api)
    front.models_file.with_name("models.json.new").mkdir()
    try:
        api.patch(f"{URL}/digits", json={"version": 2})
        until(lambda: seen(api) == ("pending", 1, "The serving process has not taken up version 2 yet."))
    finally:
        front.models_file.with_name("models.json.new").rmdir()
    until(lambda: shown(api)["ready"])


def test_of_two_replicas_one_writes_what_is_seen(
    api: httpx.Client, own_settings: Settings, front: Front, reconciling: FastAPI
) -> None:
    with running(create_app(own_settings, QUICK)):
        deploy(api)
        for round_ in range(3):
            front.states["digits"] = {"state": "failed", "reason": f"round {round_}"}
            until(lambda: seen(api)[0] == "failed")
            del front.states["digits"]
            until(lambda: seen(api)[0] == "ready")
        wait_for_rounds(reconciling, 3)  # a second writer would add its events in the round that follows
    assert [kind for kind, _ in events(api)][-7:] == ["ready"] + ["failed", "ready"] * 3


def test_it_goes_on_after_the_database_was_away(
    api: httpx.Client, engine: Engine, postgres_url: str, front: Front, reconciling: FastAPI
) -> None:
    deploy(api)
    name = engine.url.database
    admin = connect(postgres_url).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"alter database {name} with allow_connections false"))
        end = text("select pg_terminate_backend(pid) from pg_stat_activity where datname = :name")
        connection.execute(end, {"name": name})
    try:
        assert api.get(URL).status_code == 503
        front.states["digits"] = {"state": "failed", "reason": "while the database was away"}
        wait_for_rounds(reconciling, 5)  # all fail
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"alter database {name} with allow_connections true"))
        admin.dispose()
    there = ("failed", 1, "while the database was away")
    until(lambda: api.get(f"{URL}/digits").status_code == 200 and seen(api) == there, seconds=4)
