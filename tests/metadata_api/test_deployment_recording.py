"""What a deployment records of its v2 traffic: the setting, its events, and the document that servers read."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from metadata_api import recording_keys
from metadata_api.app import create_app
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from tests.metadata_api.making import make_experiment, make_version
from tests.metadata_api.servers import running

URL = "/v1/deployments"
OFF = {"rate": 0.0, "answers": True, "retention_days": None}


@pytest.fixture
def digits(engine: Engine, clean: None) -> None:
    """An experiment with a version."""
    make_experiment(engine)
    make_version(engine)


@pytest.fixture
def deployed(api: httpx.Client, digits: None) -> dict[str, Any]:
    """A deployment that records nothing."""
    return api.post(URL, json={"experiment": "digits"}).raise_for_status().json()


def patched(api: httpx.Client, recording: object) -> dict[str, Any]:
    answer = api.patch(f"{URL}/digits", json={"recording": recording})
    return answer.raise_for_status().json()["recording"]


def test_it_is_off_unless_somebody_asks_for_it(deployed: dict[str, Any]) -> None:
    assert deployed["recording"] == OFF


def test_it_is_changed_as_a_whole_and_null_turns_it_off(api: httpx.Client, deployed: dict[str, Any]) -> None:
    assert patched(api, {"rate": 0.1}) == {**OFF, "rate": 0.1}
    assert patched(api, {"rate": 1, "answers": False, "retention_days": 30}) == {
        "rate": 1.0,
        "answers": False,
        "retention_days": 30,
    }
    assert api.patch(f"{URL}/digits", json={"replicas": 2}).json()["recording"]["rate"] == 1
    assert patched(api, None) == OFF
    details = [one["detail"] for one in api.get(f"{URL}/digits").json()["events"] if one["kind"] == "change"]
    assert details == [
        "recording from 1 of the requests, kept for 30 days to off",
        "from 1 to 2 replicas",
        "recording from 0.1 of the requests with answers to 1 of the requests, kept for 30 days",
        "recording from off to 0.1 of the requests with answers",
    ]


def test_a_deployment_may_be_made_with_it(api: httpx.Client, digits: None) -> None:
    made = api.post(URL, json={"experiment": "digits", "recording": {"rate": 0.5}})
    assert made.json()["recording"] == {**OFF, "rate": 0.5}


@pytest.mark.parametrize(
    "recording",
    [
        {"rate": -0.1},
        {"rate": 1.1},
        {"rate": "all"},
        {"retention_days": 0},
        {"retention_days": 3651},
        {"rates": 1},
        [],
    ],
    ids=str,
)
def test_what_is_no_recording_changes_nothing(
    api: httpx.Client, deployed: dict[str, Any], recording: object
) -> None:
    assert api.patch(f"{URL}/digits", json={"recording": recording}).status_code == 422
    assert api.get(f"{URL}/digits").json()["recording"] == OFF


class TestKeys:
    def test_a_key_is_good_for_one_deployment_and_one_secret(self) -> None:
        key = recording_keys.key_of("secret", "digits")
        assert len(key) == 43
        assert recording_keys.check("secret", "digits", key)
        assert not recording_keys.check("secret", "letters", key)
        assert not recording_keys.check("other", "digits", key)

    @pytest.mark.parametrize("key", ["", "x", "\u20ac", "\ud800", "x" * 100_000])
    def test_anything_else_is_no_key(self, key: str) -> None:
        assert not recording_keys.check("secret", "digits", key)


class TestWhatServersRead:
    """The file beside the models file; pods find the same in a Secret."""

    @pytest.fixture
    def closed(self, settings: Settings, clean: None, tmp_path: Path) -> Iterator[tuple[httpx.Client, Path]]:
        """An API with a serving token, and the file."""
        (tmp_path / "admin").write_text("mrn_000000000001_" + "a" * 43)
        (tmp_path / "serving").write_text("mrn_000000000002_" + "b" * 43)
        auth = Auth(admin_token_file=tmp_path / "admin", serving_token_file=tmp_path / "serving")
        changes = {"auth": auth, "serving_models_file": tmp_path / "models.json", "port": 8123}
        headers = {"Authorization": f"Bearer {(tmp_path / 'admin').read_text()}"}
        with (
            running(create_app(settings.model_copy(update=changes))) as address,
            httpx.Client(base_url=address, headers=headers, timeout=30) as client,
        ):
            yield client, tmp_path / "recordings.json"

    def test_they_learn_of_a_change_with_the_address_to_send_to(
        self, closed: tuple[httpx.Client, Path], digits: None
    ) -> None:
        api, file = closed
        api.post(URL, json={"experiment": "digits"}).raise_for_status()
        assert models(file, {}) == {}
        api.patch(f"{URL}/digits", json={"recording": {"rate": 0.25}}).raise_for_status()
        found = models(file, {"digits"})["digits"]
        assert (found["rate"], found["answers"]) == (0.25, True)
        base, _, key = found["url"].rpartition("/")
        assert base == "http://127.0.0.1:8123/v1/recordings/digits"
        assert recording_keys.check("mrn_000000000002_" + "b" * 43, "digits", key)
        assert file.stat().st_mode & 0o077 == 0, "the key is for nobody else on this machine"

    def test_a_deployment_that_is_stopped_or_turned_off_is_not_in_it(
        self, closed: tuple[httpx.Client, Path], digits: None
    ) -> None:
        api, file = closed
        api.post(URL, json={"experiment": "digits", "recording": {"rate": 1}}).raise_for_status()
        assert models(file, {"digits"})
        api.post(f"{URL}/digits/stop").raise_for_status()
        assert models(file, {}) == {}
        api.post(f"{URL}/digits/start").raise_for_status()
        assert models(file, {"digits"})
        api.patch(f"{URL}/digits", json={"recording": None}).raise_for_status()
        assert models(file, {}) == {}

    def test_a_deployer_is_told_the_address_for_an_agent(
        self, closed: tuple[httpx.Client, Path], digits: None
    ) -> None:
        api, file = closed
        assert api.get(f"{URL}/digits/recording-address").status_code == 404
        api.post(URL, json={"experiment": "digits", "recording": {"rate": 1}}).raise_for_status()
        found = api.get(f"{URL}/digits/recording-address").raise_for_status().json()
        assert found["url"] == models(file, {"digits"})["digits"]["url"]

    def test_nothing_else_that_the_api_shows_has_the_key_in_it(
        self, closed: tuple[httpx.Client, Path], digits: None
    ) -> None:
        api, file = closed
        api.post(URL, json={"experiment": "digits", "recording": {"rate": 1}}).raise_for_status()
        key = models(file, {"digits"})["digits"]["url"].rpartition("/")[2]
        for path in (URL, f"{URL}/digits", f"{URL}/digits/events", "/v1/changes", "/metrics"):
            assert key not in api.get(path).text


def models(file: Path, names: set[str] | dict[str, Any]) -> dict[str, Any]:
    """Those of the file, once it has exactly these names."""
    found: dict[str, Any] = {}
    for _ in range(200):
        if file.exists():
            found = json.loads(file.read_bytes())["models"]
            if found.keys() == set(names):
                return found
        time.sleep(0.05)
    raise AssertionError(f"{file} has {sorted(found)}, not {sorted(names)}")
