"""What is deleted goes whole or not at all, after what depends on it was named; what serves is never taken away."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from metadata_api.app import create_app
from metadata_api.database.prediction_tables import Input
from metadata_api.database.tables import ModelVersion
from metadata_api.settings import Settings
from metadata_api.settings.stores import Retention
from tests.metadata_api.conftest import row_counts
from tests.metadata_api.making import make_mar
from tests.metadata_api.servers import running

VERSIONS = "/v1/experiments/digits/versions"


def publish(api: httpx.Client, folder: Path, salt: str = "") -> dict[str, Any]:
    answer = api.post(VERSIONS, content=make_mar(folder, salt=salt))
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())


def predict(
    engine: Engine, sha256: str, *, version: int | None = None, count: int = 1, days: int = 0
) -> None:
    """Predictions as they are recorded, about one input."""
    with Session(engine) as session, session.begin():
        if session.get(Input, sha256) is None:
            session.add(Input(sha256=sha256, kind="text", media_type="text/plain", size=1000))
            session.flush()
        row = session.scalar(select(ModelVersion).where(ModelVersion.number == version))
        insert = (
            "insert into predictions (uid, request_uid, input_sha256, deployment, version_id, source, status, kind, "
            "label, latency_ms, lineage, created_at) "
            "select gen_random_uuid(), gen_random_uuid(), :sha, 'digits', :version, 'api', 'ok', 'label', '5', 1, "
            """'{"experiment": "digits", "version": 1}', now() - make_interval(days => :days) """
            "from generate_series(1, :count)"
        )
        values = {"sha": sha256, "version": row.id if row else None, "count": count, "days": days}
        session.execute(text(insert), values)


@pytest.fixture
def api(api: httpx.Client) -> httpx.Client:
    api.post("/v1/experiments", json={"name": "digits"}).raise_for_status()
    return api


class TestVersions:
    def test_its_bytes_are_unreferenced_and_its_number_is_never_given_again(
        self, api: httpx.Client, engine: Engine, tmp_path: Path
    ) -> None:
        publish(api, tmp_path, "one")
        second = publish(api, tmp_path, "two")
        answer = api.delete(f"{VERSIONS}/2")
        assert (answer.status_code, answer.json()["versions"]) == (200, ["digits/2"])
        assert api.get(f"{VERSIONS}/2").status_code == 404
        assert api.get(second["download"]).status_code == 404
        with engine.connect() as connection:
            since = text("select unreferenced_since is not null from stored_objects where sha256 = :sha")
            assert connection.scalar(since, {"sha": second["sha256"]})
        assert publish(api, tmp_path, "two")["version"] == 3

    def test_numbers_go_on_after_the_experiment_was_deleted_and_made_again(
        self, api: httpx.Client, tmp_path: Path
    ) -> None:
        publish(api, tmp_path)
        assert api.delete("/v1/experiments/digits", params={"cascade": True}).status_code == 200
        api.post("/v1/experiments", json={"name": "digits"}).raise_for_status()
        assert publish(api, tmp_path)["version"] == 2

    def test_one_that_is_deployed_or_has_an_alias_stays(self, api: httpx.Client, tmp_path: Path) -> None:
        publish(api, tmp_path)
        api.post("/v1/deployments", json={"experiment": "digits"}).raise_for_status()
        api.put("/v1/aliases/champion", json={"deployment": "digits"}).raise_for_status()
        for url in (f"{VERSIONS}/1", "/v1/experiments/digits"):
            answer = api.delete(url, params={"cascade": True})
            assert (answer.status_code, answer.json()["error"]) == (409, "in_use")
            assert "deployment digits, alias champion" in answer.json()["detail"]
            told = api.delete(url, params={"dry_run": True}).json()
            assert told["blocked_by"] == ["deployment digits", "alias champion"]
        assert api.get(f"{VERSIONS}/1").status_code == 200

    def test_one_that_still_answers_stays(self, api: httpx.Client, engine: Engine, tmp_path: Path) -> None:
        for salt in ("1", "2"):
            publish(api, tmp_path, salt)
        api.post("/v1/deployments", json={"experiment": "digits", "version": 2}).raise_for_status()
        with engine.begin() as connection:
            connection.execute(text("update deployments set observed_version = 1"))
        answer = api.delete(f"{VERSIONS}/1", params={"cascade": True})
        assert (answer.status_code, answer.json()["error"]) == (409, "in_use")

    def test_one_that_could_be_rolled_back_to_is_forgotten_by_its_deployment(
        self, api: httpx.Client, tmp_path: Path
    ) -> None:
        publish(api, tmp_path, "one")
        api.post("/v1/deployments", json={"experiment": "digits"}).raise_for_status()
        publish(api, tmp_path, "two")
        api.patch("/v1/deployments/digits", json={"version": 2}).raise_for_status()
        assert api.delete(f"{VERSIONS}/1").status_code == 200
        assert api.get("/v1/deployments/digits").json()["previous_version"] is None

    def test_its_predictions_are_named_and_stay_as_records(
        self, api: httpx.Client, engine: Engine, tmp_path: Path
    ) -> None:
        publish(api, tmp_path)
        predict(engine, "a" * 64, version=1, count=3)
        answer = api.delete(f"{VERSIONS}/1")
        assert (answer.status_code, answer.json()["error"]) == (409, "has_dependents")
        assert "3 predictions, which stay as records" in answer.json()["detail"]
        assert "?cascade=true" in answer.json()["detail"]
        assert api.delete(f"{VERSIONS}/1", params={"cascade": True}).json()["predictions_kept"] == 3
        kept = api.get("/v1/predictions").json()["items"]
        assert [one["version"] for one in kept] == [1, 1, 1]


class TestExperiments:
    def test_versions_are_named_first_and_all_goes_with_consent(
        self, api: httpx.Client, engine: Engine, tmp_path: Path
    ) -> None:
        curve = {"loss": {"steps": [1, 2], "values": [1.0, 0.5]}}
        api.post("/v1/experiments", json={"name": "other", "curves": curve}).raise_for_status()
        publish(api, tmp_path)
        answer = api.delete("/v1/experiments/digits")
        assert (answer.status_code, "digits/1" in answer.json()["detail"]) == (409, True)
        told = api.delete("/v1/experiments/digits", params={"dry_run": True}).json()
        assert (told["deleted"], told["versions"]) == (False, ["digits/1"])
        assert api.get("/v1/experiments/digits").status_code == 200
        assert api.delete("/v1/experiments/digits", params={"cascade": True}).json()["deleted"]
        assert api.delete("/v1/experiments/other").json()["experiments"] == ["other"]
        counts = row_counts(engine)
        assert [counts[name] for name in ("experiments", "model_versions", "metric_points")] == [0, 0, 0]

    def test_what_is_not_there_is_a_404(self, api: httpx.Client) -> None:
        urls = ("/v1/experiments/none", f"{VERSIONS}/7", f"/v1/inputs/{'0' * 64}", "/v1/imports/7",
                "/v1/predictions/00000000-0000-4000-8000-000000000000")  # fmt: skip
        assert {api.delete(url).status_code for url in urls} == {404}


class TestImagesAndPredictions:
    def test_an_image_goes_with_the_predictions_about_it_and_with_consent(
        self, api: httpx.Client, engine: Engine
    ) -> None:
        predict(engine, "a" * 64, count=2)
        url = f"/v1/inputs/{'a' * 64}"
        assert "2 predictions" in api.delete(url).json()["detail"]
        assert api.delete(url, params={"cascade": True}).json()["predictions"] == 2
        counts = row_counts(engine)
        assert (counts["inputs"], counts["predictions"]) == (0, 0)

    def test_an_image_stays_until_the_last_prediction_about_it_is_deleted(
        self, api: httpx.Client, engine: Engine
    ) -> None:
        predict(engine, "a" * 64, count=2)
        first, second = (one["prediction_id"] for one in api.get("/v1/predictions").json()["items"])
        assert api.delete(f"/v1/predictions/{first}").json()["inputs"] == 0
        assert api.delete(f"/v1/predictions/{second}").json()["inputs"] == 1
        assert row_counts(engine)["inputs"] == 0

    def test_a_report_of_an_import_goes_and_its_experiments_stay(self, api: httpx.Client) -> None:
        data = Path(__file__).parents[1] / "data" / "two-bad-rows.csv"
        report = api.post("/v1/imports", content=data.read_bytes()).json()
        assert api.delete(f"/v1/imports/{report['id']}").json()["imports"] == 1
        assert api.get("/v1/imports").json()["total"] == 0
        assert api.get("/v1/experiments").json()["total"] == 1 + report["accepted"]


def test_every_deletion_is_in_the_audit_log(api: httpx.Client, engine: Engine, tmp_path: Path) -> None:
    publish(api, tmp_path)
    predict(engine, "a" * 64)
    api.delete(f"/v1/inputs/{'a' * 64}", params={"cascade": True}).raise_for_status()
    api.delete("/v1/experiments/digits", params={"cascade": True}).raise_for_status()
    entries = api.get("/v1/audit").json()["items"]
    deleted = [(one["route"], {change["table"] for change in one["changes"]}) for one in entries[:2]]
    assert deleted[1][0] == "DELETE /v1/inputs/{sha256}"
    assert {"predictions", "inputs"} <= deleted[1][1]
    assert deleted[0][0] == "DELETE /v1/experiments/{name}"
    assert {"experiments", "model_versions"} <= deleted[0][1]


def test_uploads_beyond_the_quota_are_a_507_with_the_remedy_and_store_nothing(
    settings: Settings, engine: Engine, clean: None, tmp_path: Path
) -> None:
    archive = make_mar(tmp_path)
    keep = Retention(archives_bytes=len(archive) + 100)
    app: FastAPI = create_app(settings.model_copy(update={"retention": keep}))
    with running(app) as address, httpx.Client(base_url=address, timeout=30) as api:
        api.post("/v1/experiments", json={"name": "digits"}).raise_for_status()
        publish(api, tmp_path, "one")
        answer = api.post(VERSIONS, content=make_mar(tmp_path, salt="two"))
        assert (answer.status_code, answer.json()["error"]) == (507, "quota_exceeded")
        assert "Delete versions" in answer.json()["detail"]
        assert row_counts(engine)["stored_objects"] == 1


def test_what_is_missing_or_damaged_can_be_uploaded_again_whatever_the_quota_is(
    settings: Settings, clean: None, tmp_path: Path
) -> None:
    archive = make_mar(tmp_path, salt="one")
    keep = Retention(archives_bytes=len(archive) + 100)
    app: FastAPI = create_app(settings.model_copy(update={"retention": keep}))
    with running(app) as address, httpx.Client(base_url=address, timeout=30) as api:
        api.post("/v1/experiments", json={"name": "digits"}).raise_for_status()
        version = publish(api, tmp_path, "one")
        (settings.store_dir / "artifacts" / version["sha256"][:2] / version["sha256"]).unlink()
        assert api.get(version["download"]).status_code == 503
        assert api.post(VERSIONS, content=archive).raise_for_status().json()["version"] == 1
        assert api.get(version["download"]).status_code == 200


def test_what_is_missing_can_be_uploaded_again_on_a_nearly_full_disk_and_nothing_new_can(
    settings: Settings, clean: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = Retention(free_bytes=1_000_000)
    with (
        running(create_app(settings.model_copy(update={"retention": keep}))) as address,
        httpx.Client(base_url=address, timeout=30) as api,
    ):
        api.post("/v1/experiments", json={"name": "digits"}).raise_for_status()
        version = publish(api, tmp_path, "one")
        (settings.store_dir / "artifacts" / version["sha256"][:2] / version["sha256"]).unlink()
        left = SimpleNamespace(free=700_000)
        monkeypatch.setattr("metadata_api.storage.folder.shutil.disk_usage", lambda _: left)
        new = api.post(VERSIONS, content=make_mar(tmp_path, salt="two"))
        assert (new.status_code, new.json()["error"]) == (507, "disk_nearly_full")
        assert api.post(VERSIONS, content=make_mar(tmp_path, salt="one")).json()["version"] == 1
        assert api.get(version["download"]).status_code == 200
        # While an upload arrives the disk fills up, by it or by others.
        left.free = 400_000
        assert api.post(VERSIONS, content=make_mar(tmp_path, salt="one")).status_code == 507
        assert list((settings.store_dir / "artifacts" / "partial").iterdir()) == []


def test_uploads_are_rejected_before_the_disk_is_full(
    settings: Settings, engine: Engine, clean: None, tmp_path: Path
) -> None:
    keep = Retention(free_bytes=2**62)
    with (
        running(create_app(settings.model_copy(update={"retention": keep}))) as address,
        httpx.Client(base_url=address, timeout=30) as api,
    ):
        api.post("/v1/experiments", json={"name": "digits"}).raise_for_status()
        answer = api.post(VERSIONS, content=make_mar(tmp_path))
        assert (answer.status_code, answer.json()["error"]) == (507, "disk_nearly_full")
        assert "Free space" in answer.json()["detail"]
        assert api.get("/v1/experiments").status_code == 200
