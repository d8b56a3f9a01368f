"""After a restore nothing that serves is taken away, and no bytes, until an admin has looked and confirmed."""

import httpx
import pytest
from sqlalchemy import Engine, text

from tests.metadata_api.deploying.asking import URL, deploy, seen, shown
from tests.metadata_api.servers import Front
from tests.waiting import until


@pytest.fixture
def restored(api: httpx.Client, engine: Engine, front: Front) -> None:
    """Yesterday's rows: one deployment has an older version, another is not known at all."""
    deploy(api)
    deploy(api, name="unknown")
    api.patch(f"{URL}/digits", json={"version": 2}).raise_for_status()
    until(lambda: front.desired() == {"digits": "2", "unknown": "1"})
    with engine.begin() as connection:
        connection.execute(text("insert into restores (dump) values ('yesterday.dump')"))
    with engine.begin() as connection:
        connection.execute(text("delete from deployments where name = 'unknown'"))
        old = "select id from model_versions where number = 1"
        connection.execute(
            text(f"update deployments set version_id = ({old}), updated_at = now() - interval '1 day'")
        )


def restore(api: httpx.Client) -> dict[str, object]:
    return dict(api.get("/v1/restore").json())


def test_without_a_restore_there_is_nothing_to_confirm(api: httpx.Client) -> None:
    assert api.get("/v1/restore").status_code == 404
    assert api.post("/v1/restore/confirm").status_code == 404


def test_what_serves_goes_on_and_what_would_happen_is_said(
    api: httpx.Client, front: Front, restored: None
) -> None:
    until(lambda: len(restore(api)["withheld"]) == 2)  # type: ignore[arg-type]
    assert restore(api)["withheld"] == [
        "Change deployment digits from version 2 to version 1 of digits.",
        "Remove deployment unknown, version 1.",
    ]
    assert (restore(api)["pending"], restore(api)["dump"]) == (True, "yesterday.dump")
    assert front.desired() == {"digits": "2", "unknown": "1"}


def test_once_confirmed_the_rows_decide(api: httpx.Client, front: Front, restored: None) -> None:
    until(lambda: len(restore(api)["withheld"]) == 2)  # type: ignore[arg-type]
    confirmed = api.post("/v1/restore/confirm").json()
    assert (confirmed["pending"], confirmed["confirmed_by"]) == (False, "anonymous")
    until(lambda: front.desired() == {"digits": "1"})


def test_what_somebody_changes_or_deploys_meanwhile_is_done(
    api: httpx.Client, front: Front, restored: None
) -> None:
    until(lambda: len(restore(api)["withheld"]) == 2)  # type: ignore[arg-type]
    deploy(api, name="new")
    api.patch(f"{URL}/digits", json={"runtime": "native"}).raise_for_status()
    until(lambda: front.desired() == {"digits": "1", "unknown": "1", "new": "1"})
    until(lambda: seen(api)[0] == "ready")
    assert shown(api)["ready"]
    until(lambda: restore(api)["withheld"] == ["Remove deployment unknown, version 1."])
