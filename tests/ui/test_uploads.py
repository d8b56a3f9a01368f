"""Files that a request may name: those that were uploaded, and none else that the process could read."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from model_ui import uploads
from model_ui.metadata_client import MetadataClient
from model_ui.settings import Settings
from tests.asgi import Server
from tests.ui.apps import create_app, mount_pages
from tests.ui.fake_api import FakeApi

CANARY = "not-a-number-CANARY"
CSV = f"Experiment Name,Learning Rate,Momentum,Loss\nOne,{CANARY},0.9,x\n"
HOUR = 3600.0
Serve = Callable[[Any], str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An upload folder of this test's own; Gradio's variable is put back afterwards."""
    monkeypatch.setenv(uploads.GRADIO_FOLDER, str(tmp_path / "uploads"))
    return uploads.prepare(tmp_path / "uploads", keep_seconds=HOUR)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A private file that was not uploaded."""
    path = tmp_path / "private" / "runs.csv"
    path.parent.mkdir(mode=0o700)
    path.write_text(CSV)
    path.chmod(0o600)
    return path


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve an ASGI application; returns its address."""
    running: list[Server] = []

    def start(app: Any) -> str:
        running.append(Server(app).start())
        return running[-1].url

    yield start
    for server in reversed(running):
        server.stop()


@pytest.fixture
def settings(folder: Path, serve: Serve) -> Settings:
    return Settings(api_url=serve(FakeApi().app), upload_dir=folder)


def ask(ui: str, path: str) -> httpx.Response:
    """The event that asks the models, with a file of this path in what it is about."""
    config = httpx.get(f"{ui}/config").json()
    parts = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
    event = next(one for one in config["dependencies"] if [parts["asking"], "input"] in one["targets"])
    file = {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "runs.csv"}
    asked = {"number": 1, "task": "digits", "fields": {"image": file}, "asked": True}
    body = {"fn_index": event["id"], "session_hash": "test", "data": [asked, []]}
    return httpx.post(f"{ui}/gradio_api/run/predict", json=body, timeout=20)


def copies(*folders: Path) -> list[Path]:
    """Files below the folders that hold the canary."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return [path for path in files if CANARY.encode() in path.read_bytes()]


class TestAFileThatWasNeverUploaded:
    def test_it_is_turned_away_before_gradio_sees_it(
        self, settings: Settings, folder: Path, secret: Path, serve: Serve
    ) -> None:
        answer = ask(serve(create_app(settings)), str(secret))
        assert answer.status_code == 403
        assert "Upload it first" in answer.text
        assert not copies(folder)

    def test_gradio_does_not_read_it_either(
        self, settings: Settings, folder: Path, secret: Path, serve: Serve
    ) -> None:
        ui = serve(mount_pages(settings, MetadataClient(settings.api_url)))
        answer = ask(ui, str(secret))
        assert not answer.is_success
        assert "CANARY" not in answer.text
        assert not copies(folder)

    def test_one_that_was_uploaded_is_let_through(
        self, settings: Settings, folder: Path, secret: Path, serve: Serve
    ) -> None:
        ui = serve(create_app(settings))
        uploaded = httpx.post(f"{ui}/gradio_api/upload", files={"files": ("runs.csv", CSV)}).json()[0]
        assert Path(uploaded).is_relative_to(folder)
        assert ask(ui, uploaded).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../private/runs.csv", "{folder}/../private/runs.csv", "{folder}-other/x.csv", "{folder}/link",
     "http://127.0.0.1:1/x.csv", "https://models.example/x.csv", "file:///etc/passwd", "", "a\0b",
     "\ud800", pytest.param("x/" * 9999, id="too long")],
    ids=ascii,
)  # fmt: skip
def test_no_other_place_counts_as_uploaded(folder: Path, secret: Path, path: str) -> None:
    (folder / "link").symlink_to(secret)
    body = json.dumps({"data": [{"deep": [{"path": path.replace("{folder}", str(folder))}]}]}).encode()
    assert not uploads.names_only_uploads(body, folder)


def test_a_file_of_the_folder_counts_as_uploaded(folder: Path) -> None:
    body = json.dumps({"data": [{"path": str(folder / "a" / "b.csv")}, {"path": 1}, "path"]}).encode()
    assert uploads.names_only_uploads(body, folder)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"1" * 10_000])
def test_what_is_not_json_is_turned_away(folder: Path, body: bytes) -> None:
    with pytest.raises(uploads.BadEvent):
        uploads.names_only_uploads(body, folder)


class TestTheFolder:
    def test_other_users_may_not_look_into_it(self, tmp_path: Path, folder: Path) -> None:
        assert folder.stat().st_mode & 0o777 == 0o700
        folder.chmod(0o755)
        uploads.prepare(folder, keep_seconds=HOUR)
        assert folder.stat().st_mode & 0o777 == 0o700

    def test_a_link_to_another_folder_is_not_taken(self, tmp_path: Path, folder: Path) -> None:
        (tmp_path / "link").symlink_to(folder)
        with pytest.raises(uploads.UnusableFolder, match="UI_UPLOAD_DIR"):
            uploads.prepare(tmp_path / "link", keep_seconds=HOUR)

    def test_what_a_killed_process_left_is_deleted_after_an_hour(self, folder: Path) -> None:
        old, young = folder / "old" / "a.csv", folder / "young" / "b.csv"
        for path in (old, young):
            path.parent.mkdir()
            path.write_text("x")
        os.utime(old, (0, 0))
        uploads.prepare(folder, keep_seconds=HOUR)
        assert (old.exists(), young.exists()) == (False, True)

    def test_by_default_each_user_has_one(self) -> None:
        assert Settings().upload_dir.name == f"marina-ui-{os.geteuid()}"
