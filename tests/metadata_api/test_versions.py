"""Uploading, numbering and downloading `.mar` files, over a real socket."""

import hashlib
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from metadata_api.storage.folder import FolderStore
from serving_runtime.archive import mar
from tests.metadata_api.conftest import row_counts
from tests.metadata_api.making import LABELS, make_experiment, make_mar, make_version

VERSIONS = "/v1/experiments/digits/versions"


@pytest.fixture
def experiment(engine: Engine, clean: None) -> None:
    """The experiment that all uploads here are for."""
    make_experiment(engine)


def test_an_upload_becomes_the_first_version(api: httpx.Client, experiment: None, tmp_path: Path) -> None:
    archive = make_mar(tmp_path)
    answer = api.post(VERSIONS, content=archive)
    assert answer.status_code == 201
    version = answer.json()
    assert (version["experiment"], version["version"], version["handler"]) == ("digits", 1, "handler.py")
    assert version["uploaded_sha256"] == hashlib.sha256(archive).hexdigest()
    assert (version["labels"], version["metrics"]) == (LABELS, {"test_accuracy": 0.97})
    assert version["inputs"][0]["accepts"] == ["UINT8", "FP32", "BYTES"]
    assert version["download"] == "/artifacts/digits/1/digits.mar"
    assert api.get(f"{VERSIONS}/1").json() == version


def test_a_version_says_who_uploaded_it_and_from_where(
    api: httpx.Client, experiment: None, tmp_path: Path
) -> None:
    api.post(VERSIONS, content=make_mar(tmp_path))
    version = api.get(f"{VERSIONS}/1").json()
    assert (version["uploaded_by"], version["uploaded_from"]) == ("anonymous", "127.0.0.1")


def test_a_version_from_before_provenance_was_recorded_is_shown_without(
    api: httpx.Client, experiment: None, engine: Engine
) -> None:
    make_version(engine)
    version = api.get(f"{VERSIONS}/1").json()
    assert (version["uploaded_by"], version["uploaded_from"]) == (None, None)


def test_a_configuration_file_of_an_archive_becomes_defaults_and_what_has_no_effect_is_named(
    api: httpx.Client, experiment: None, tmp_path: Path
) -> None:
    config = b"batchSize: 4\nmaxBatchDelay: 50\nstartupTimeout: 300\nmaxWorkers: 8\nhandler: {level: 2}\n"
    archive = make_mar(tmp_path, config_file="config.yaml", config__yaml=config)
    version = api.post(VERSIONS, content=archive).json()
    expected = {
        "batch_size": 4,
        "batch_delay_seconds": 0.05,
        "startup_seconds": 300,
        "response_seconds": None,
        "not_honoured": [
            "maxWorkers: each deployment has one worker in each replica; set its replicas instead"
        ],
    }
    assert version["archive_settings"] == expected
    made = api.post("/v1/deployments", json={"experiment": "digits"})
    assert made.json()["archive_settings"] == expected


@pytest.mark.parametrize(
    "config", [b"batchSize: many", b"- a list", b"maxBatchDelay: -1", b"a: &a 1\nb: *a", b"\xff"]
)
def test_a_configuration_file_that_cannot_be_used_is_rejected(
    config: bytes, api: httpx.Client, experiment: None, tmp_path: Path
) -> None:
    with pytest.raises(mar.MarError) as rejection:
        make_mar(tmp_path, config_file="config.yaml", config__yaml=config)
    assert rejection.value.code == "config"
    assert "config.yaml" in str(rejection.value)


def test_the_same_bytes_again_are_the_same_version(
    api: httpx.Client, experiment: None, tmp_path: Path
) -> None:
    first = api.post(VERSIONS, content=make_mar(tmp_path))
    again = api.post(VERSIONS, content=make_mar(tmp_path))
    assert (again.status_code, again.json()) == (200, first.json())


def test_the_same_content_in_another_container_is_the_same_version(
    api: httpx.Client, experiment: None, tmp_path: Path
) -> None:
    archive = make_mar(tmp_path)
    other = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(other, "w") as target:
        for name in reversed(source.namelist()):
            target.writestr(name, source.read(name))
    assert other.getvalue() != archive
    first = api.post(VERSIONS, content=archive).json()
    again = api.post(VERSIONS, content=other.getvalue())
    assert (again.status_code, again.json()["sha256"]) == (200, first["sha256"])


def test_an_archive_that_says_nothing_of_its_tensors_takes_and_gives_bytes(
    api: httpx.Client, experiment: None, tmp_path: Path
) -> None:
    version = api.post(VERSIONS, content=make_mar(tmp_path, card=None)).json()
    assert [(tensor["name"], tensor["datatype"]) for tensor in version["inputs"]] == [("data", "BYTES")]
    assert (version["labels"], version["inputs"][0]["kind"], version["environment"]) == ([], "raw", "base")


TABLE = """
name: wine
environment: base
task: wine
inputs:
  - name: row
    datatype: FP32
    shape: [-1, 2]
    columns: [{name: alcohol, unit: "% vol", minimum: 11}, {name: color, categories: [red, white]}]
outputs: [{name: quality, datatype: FP32, shape: [-1], kind: number, unit: points}]
"""


def test_a_version_says_what_its_model_takes_and_gives(
    api: httpx.Client, experiment: None, tmp_path: Path
) -> None:
    version = api.post(VERSIONS, content=make_mar(tmp_path, card=TABLE)).json()
    assert (version["task"], version["environment"]) == ("wine", "base")
    assert version["inputs"] == [
        {
            "name": "row",
            "datatype": "FP32",
            "shape": [-1, 2],
            "accepts": ["FP32"],
            "kind": "table",
            "content_type": "np",
            "columns": [
                {"name": "alcohol", "unit": "% vol", "minimum": 11},
                {"name": "color", "categories": ["red", "white"]},
            ],
        }
    ]
    assert [(item["kind"], item["unit"]) for item in version["outputs"]] == [("number", "points")]
    deployed = api.post("/v1/deployments", json={"experiment": "digits"}).json()
    assert [deployed[key] for key in ("task", "inputs", "outputs")] == [
        version[key] for key in ("task", "inputs", "outputs")
    ]


def test_a_version_from_before_kinds_were_stored_reads_as_one_of_now(
    api: httpx.Client, experiment: None, engine: Engine, tmp_path: Path
) -> None:
    make_version(engine)
    before = api.get(f"{VERSIONS}/1").json()
    now = api.post(VERSIONS, content=make_mar(tmp_path)).json()
    assert before["inputs"][0]["image"]["width"] == 28
    for key in ("task", "environment", "inputs", "outputs", "labels"):
        assert before[key] == now[key]


def test_uploads_at_once_get_numbers_without_gaps_or_doubles(
    api: httpx.Client, experiment: None, tmp_path: Path
) -> None:
    archives = [make_mar(tmp_path, salt=str(count)) for count in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda archive: api.post(VERSIONS, content=archive), archives))
    assert [answer.status_code for answer in answers] == [201] * 6
    assert sorted(answer.json()["version"] for answer in answers) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("form", [False, True])
def test_an_experiment_is_made_with_its_first_version_where_that_is_wanted(
    api: httpx.Client, clean: None, tmp_path: Path, form: bool
) -> None:
    archive = make_mar(tmp_path)
    body: dict[str, Any] = {"files": {"file": archive}} if form else {"content": archive}
    numbers = [api.post(f"{VERSIONS}?create=true", **body).json()["version"] for _ in range(2)]
    assert numbers == [1, 1]
    made = api.get("/v1/experiments/digits").json()
    assert (made["display_name"], made["source"], made["latest_version"]) == ("digits", "api", 1)


def test_first_uploads_at_once_make_one_experiment(api: httpx.Client, clean: None, tmp_path: Path) -> None:
    archive = make_mar(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: api.post(f"{VERSIONS}?create=true", content=archive), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]


def test_the_same_upload_at_once_is_one_version(api: httpx.Client, experiment: None, tmp_path: Path) -> None:
    archive = make_mar(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: api.post(VERSIONS, content=archive), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert api.get(VERSIONS).json()["total"] == 1


def test_versions_are_listed_newest_first_page_by_page(
    api: httpx.Client, experiment: None, tmp_path: Path
) -> None:
    for count in range(3):
        api.post(VERSIONS, content=make_mar(tmp_path, salt=str(count)))
    first = api.get(VERSIONS, params={"limit": 2}).json()
    assert ([item["version"] for item in first["items"]], first["total"]) == ([3, 2], 3)
    second = api.get(VERSIONS, params={"limit": 2, "cursor": first["next"]}).json()
    assert ([item["version"] for item in second["items"]], second["next"]) == ([1], None)


class TestDownload:
    """The canonical bytes come back, with their sha256."""

    def test_gives_what_serving_checks(self, api: httpx.Client, experiment: None, tmp_path: Path) -> None:
        version = api.post(VERSIONS, content=make_mar(tmp_path)).json()
        answer = api.get(version["download"])
        assert answer.status_code == 200
        assert hashlib.sha256(answer.content).hexdigest() == version["sha256"]
        assert len(answer.content) == version["size"] == int(answer.headers["content-length"])
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["etag"] == f'"{version["sha256"]}"'
        (tmp_path / "back.mar").write_bytes(answer.content)
        assert mar.inspect(tmp_path / "back.mar").name == "digits"

    def test_head_tells_the_size_without_the_bytes(
        self, api: httpx.Client, experiment: None, tmp_path: Path
    ) -> None:
        version = api.post(VERSIONS, content=make_mar(tmp_path)).json()
        answer = api.head(version["download"])
        assert (answer.status_code, answer.content) == (200, b"")
        assert int(answer.headers["content-length"]) == version["size"]

    @pytest.mark.parametrize("path", ["digits/2/digits.mar", "digits/1/other.mar", "none/1/none.mar"])
    def test_of_what_is_not_there_is_a_404(
        self, api: httpx.Client, experiment: None, tmp_path: Path, path: str
    ) -> None:
        api.post(VERSIONS, content=make_mar(tmp_path))
        assert api.get(f"/artifacts/{path}").status_code == 404

    @pytest.mark.parametrize("path", ["..%2f..%2fetc/1/passwd.mar", "digits/1/..%2f..%2fpasswd.mar"])
    def test_with_a_path_for_a_name_is_refused(self, api: httpx.Client, path: str) -> None:
        assert api.get(f"/artifacts/{path}").status_code in (404, 422)


class TestRejected:
    """Nothing of a rejected upload stays, neither a row nor a file."""

    @pytest.fixture
    def unchanged(self, app: FastAPI, engine: Engine, experiment: None) -> object:
        """Compares rows and files before and after the test."""
        artifacts: FolderStore = app.state.components.artifacts.first

        def files() -> set[Path]:
            return {path for path in artifacts.root.rglob("*") if path.is_file()}

        before = row_counts(engine), files()
        yield None
        assert (row_counts(engine), files()) == before

    def rejected(self, api: httpx.Client, content: bytes, url: str = VERSIONS) -> tuple[int, str]:
        answer = api.post(url, content=content)
        assert answer.json()["detail"]
        return answer.status_code, answer.json()["error"]

    def test_not_a_zip(self, api: httpx.Client, unchanged: object) -> None:
        assert self.rejected(api, b"this is no archive" * 100) == (400, "not_a_zip")

    def test_an_empty_body(self, api: httpx.Client, unchanged: object) -> None:
        assert self.rejected(api, b"") == (400, "body_empty")

    def test_a_zip_without_a_manifest(self, api: httpx.Client, unchanged: object) -> None:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("handler.py", "")
        assert self.rejected(api, file.getvalue()) == (400, "manifest_missing")

    @pytest.mark.parametrize("name", ["../evil.py", "/etc/evil.py", "a/../../evil.py", "..\\evil.py"])
    def test_a_name_that_leads_out_of_the_archive(
        self, api: httpx.Client, unchanged: object, tmp_path: Path, name: str
    ) -> None:
        file = io.BytesIO(make_mar(tmp_path))
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr(name, "print('evil')")
        assert self.rejected(api, file.getvalue()) == (400, "bad_name")

    def test_half_an_archive(self, api: httpx.Client, unchanged: object, tmp_path: Path) -> None:
        archive = make_mar(tmp_path)
        assert self.rejected(api, archive[: len(archive) // 2])[0] == 400

    def test_an_experiment_that_does_not_exist(
        self, api: httpx.Client, unchanged: object, tmp_path: Path
    ) -> None:
        found = self.rejected(api, make_mar(tmp_path), "/v1/experiments/unknown/versions")
        assert found == (404, "experiment_unknown")

    def test_a_new_experiment_with_an_archive_that_is_none(
        self, api: httpx.Client, unchanged: object, tmp_path: Path
    ) -> None:
        url = "/v1/experiments/unknown/versions?create=true"
        assert self.rejected(api, b"this is no archive", url) == (400, "not_a_zip")
        assert self.rejected(api, make_mar(tmp_path)[:-100], url)[0] == 400

    def test_an_experiment_named_by_a_path(
        self, api: httpx.Client, unchanged: object, tmp_path: Path
    ) -> None:
        answer = api.post("/v1/experiments/..%2f..%2fetc/versions", content=make_mar(tmp_path))
        assert answer.status_code in (404, 422)

    @pytest.mark.parametrize("text", [rb'{"note": "a\u0000"}', rb'{"note": "\ud800"}', b'{"note": NaN}'])
    def test_a_record_that_no_database_can_hold(
        self, api: httpx.Client, unchanged: object, tmp_path: Path, text: bytes
    ) -> None:
        path = tmp_path / "made.mar"
        plain = make_mar(tmp_path)
        with zipfile.ZipFile(io.BytesIO(plain)) as source, zipfile.ZipFile(path, "w") as target:
            for name in source.namelist():
                target.writestr(name, text if name == "training.json" else source.read(name))
        assert self.rejected(api, path.read_bytes())[0] == 400

    @pytest.mark.parametrize("number", ["0", "-1", "99999999999999999999", "one"])
    def test_a_number_that_is_none(self, api: httpx.Client, unchanged: object, number: str) -> None:
        assert api.get(f"{VERSIONS}/{number}").status_code == 422

    def test_a_version_that_is_not_there(self, api: httpx.Client, unchanged: object) -> None:
        answer = api.get(f"{VERSIONS}/7")
        assert (answer.status_code, answer.json()["error"]) == (404, "version_unknown")
