"""The command line before a real API with authentication on, whose serving process does as it is told."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from marina.__main__ import main
from metadata_api.app import create_app
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from tests.metadata_api.auth.conftest import ADMIN, SERVING, client_of
from tests.metadata_api.conftest import clean as clean
from tests.metadata_api.conftest import own_engine as own_engine
from tests.metadata_api.conftest import serving as serving
from tests.metadata_api.deploying.rounds import QUICK
from tests.metadata_api.making import url_of
from tests.metadata_api.servers import Front, V2Server, running


@dataclass(frozen=True)
class Said:
    """What one command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output, which has to be one JSON document."""
        return json.loads(self.out)

    def failed(self, code: int, *words: str) -> None:
        """It ended with this code and one line on standard error, in which these words are."""
        assert self.code == code, self
        assert self.err.startswith("marina: "), self
        assert self.err.count("\n") == 1, self
        for word in words:
            assert word in self.err, self


Marina = Callable[..., Said]


@pytest.fixture
def marina(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Marina:
    """Run a command line. Nothing of this machine's own Marina is known to it."""
    for name in ("MARINA_URL", "MARINA_TOKEN", "MARINA_API_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MARINA_HOME", str(tmp_path / "no-home"))

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        code = main([str(one) for one in arguments])
        return Said(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def engine(own_engine: Engine) -> Engine:
    return own_engine


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Front:
    return Front(tmp_path_factory.mktemp("serving") / "models.json")


@pytest.fixture(scope="module")
def home(
    engine: Engine, serving: V2Server, front: Front, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The data folder of a running system, as the launcher leaves it."""
    home = tmp_path_factory.mktemp("marina")
    (home / "run").mkdir()
    (home / "run" / "token").write_text(ADMIN + "\n")
    (home / "run" / "serving-token").write_text(SERVING + "\n")
    auth = Auth(
        admin_token_file=home / "run" / "token",
        serving_token_file=home / "run" / "serving-token",
        serving_tokens_file=home / "serving-tokens.json",
    )
    settings = Settings(
        auth=auth,
        database_url=url_of(engine),
        store_dir=home / "store",
        serving_url=serving.url,
        serving_models_file=front.models_file,
    )
    serving.status = front.status
    with running(create_app(settings, QUICK)) as address:
        holder = {"pid": 1, "started": 0, "ui": "http://127.0.0.1:9", "api": address}
        (home / "run" / "launcher.lock").write_text(json.dumps(holder))
        yield home


@pytest.fixture
def api(home: Path, front: Front, clean: None) -> Iterator[httpx.Client]:
    """A client of that API with the admin's token, on empty tables."""
    front.states.clear()
    with client_of(json.loads((home / "run" / "launcher.lock").read_text())["api"], ADMIN) as client:
        yield client


@pytest.fixture
def at_home(marina: Marina, home: Path, api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Marina:
    """The command line on the machine of that system, which finds address and token by itself."""
    monkeypatch.setenv("MARINA_HOME", str(home))
    return marina
