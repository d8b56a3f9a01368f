"""No request makes the UI read a file: none is uploaded to Gradio, and no event names one of the server."""

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
Serve = Callable[[Any], str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this test's own for Gradio; its variable is put back afterwards."""
    monkeypatch.setenv(uploads.GRADIO_FOLDER, str(tmp_path / "uploads"))
    uploads.prepare(tmp_path / "uploads")
    return tmp_path / "uploads"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A private file of the machine."""
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
    asked = {"number": 1, "task": "digits", "fields": [["image", file]], "asked": True}
    body = {"fn_index": event["id"], "session_hash": "test", "data": [asked, []]}
    return httpx.post(f"{ui}/gradio_api/run/predict", json=body, timeout=20)


def copies(*folders: Path) -> list[Path]:
    """Files below the folders that hold the canary."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return [path for path in files if CANARY.encode() in path.read_bytes()]


class TestAFileOfTheServer:
    def test_it_is_turned_away_before_gradio_sees_it(
        self, settings: Settings, folder: Path, secret: Path, serve: Serve
    ) -> None:
        answer = ask(serve(create_app(settings)), str(secret))
        assert answer.status_code == 403
        assert "names a file" in answer.text
        assert not copies(folder)

    def test_gradio_does_not_read_it_either(
        self, settings: Settings, folder: Path, secret: Path, serve: Serve
    ) -> None:
        ui = serve(mount_pages(settings, MetadataClient(settings.api_url)))
        answer = ask(ui, str(secret))
        assert not answer.is_success
        assert "CANARY" not in answer.text
        assert not copies(folder)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../private/runs.csv", "http://127.0.0.1:1/x.csv", "file:///etc/passwd", "",
     "a\0b", "\ud800"],
    ids=ascii,
)  # fmt: skip
@pytest.mark.parametrize(
    "more", [{}, {"meta": {"_type": "gradio.FileData"}}, {"url": "x", "meta": None}], ids=str
)
def test_no_event_names_a_file(path: str, more: dict[str, object]) -> None:
    body = json.dumps({"data": [{"deep": [[], {"path": path, **more}]}]}).encode()
    assert uploads.names_a_file(uploads.read(body))


def test_text_and_the_word_path_are_no_files() -> None:
    body = json.dumps({"data": [{"fields": [["path", "/etc/passwd"]], "path": 1}, "path"]}).encode()
    assert not uploads.names_a_file(uploads.read(body))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"1" * 10_000])
def test_what_is_not_json_is_turned_away(body: bytes) -> None:
    with pytest.raises(uploads.BadEvent):
        uploads.read(body)


class TestTheFolder:
    def test_other_users_may_not_look_into_it(self, tmp_path: Path, folder: Path) -> None:
        assert folder.stat().st_mode & 0o777 == 0o700
        folder.chmod(0o755)
        uploads.prepare(folder)
        assert folder.stat().st_mode & 0o777 == 0o700

    def test_a_link_to_another_folder_is_not_taken(self, tmp_path: Path, folder: Path) -> None:
        (tmp_path / "link").symlink_to(folder)
        with pytest.raises(uploads.UnusableFolder, match="UI_UPLOAD_DIR"):
            uploads.prepare(tmp_path / "link")

    def test_by_default_each_user_has_one(self) -> None:
        assert Settings().upload_dir.name == f"marina-ui-{os.geteuid()}"
