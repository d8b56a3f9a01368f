"""What the parts see of the shell in which somebody typed `make up`."""

import os

import pytest

from marina_local import environment, parts
from marina_local.postgres import Postgres
from marina_local.settings import LocalSettings
from serving_runtime.runtimes import environment as serving_environment

SHELL = {
    "PATH": "/usr/bin",
    "LC_ALL": "C.UTF-8",
    "OPENBLAS_CORETYPE": "Haswell",
    "CLOUD_KEY": "secret",
    "LABELS_URL": "http://labels.example",
    "PYTHONPATH": "/somebody/elses",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "HTTPS_PROXY": "http://user:secret@proxy",
    "METADATA_API_DATABASE_URL": "postgresql://user:secret@elsewhere/other",
    "SERVING_MAX_BATCH": "8",
    "UI_POLL_SECONDS": "3",
    "SERVING_WORKER_ENVIRONMENT": "LABELS_URL, NOT_SET_ANYWHERE",
}
PARTS = ("serving", "api", "migration", "ui", "training", "registration")


@pytest.mark.parametrize("part", PARTS)
def test_no_part_inherits_what_it_has_no_use_for(part: str) -> None:
    seen = environment.of_part(part, SHELL)
    assert {"PATH", "LC_ALL", "OPENBLAS_CORETYPE"} <= seen.keys()
    assert not {"CLOUD_KEY", "PYTHONPATH"} & seen.keys()
    assert ("SERVING_MAX_BATCH" in seen) == (part == "serving")
    assert ("LABELS_URL" in seen) == (part == "serving")
    assert ("UI_POLL_SECONDS" in seen) == (part == "ui")
    assert ("METADATA_API_DATABASE_URL" in seen) == (part in ("api", "migration"))
    assert ("AWS_SECRET_ACCESS_KEY" in seen) == (part == "api")
    assert ("HTTPS_PROXY" in seen) == (part == "api")


def test_what_a_worker_may_inherit_reaches_the_serving_process() -> None:
    assert serving_environment.INHERITED <= environment.INHERITED
    assert set(serving_environment.INHERITED_PREFIXES) <= set(environment.INHERITED_PREFIXES)


def test_every_part_is_started_with_it(settings: LocalSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "CLOUD_KEY", "a secret of the shell")
    postgres = Postgres(settings)
    started = [parts.serving(settings), parts.api(settings, postgres), parts.migration(settings, postgres)]
    started += [parts.ui(settings), parts.training(settings), parts.registration(settings)]
    assert {part.name for part in started} == set(PARTS)
    for part in [*started]:
        assert "CLOUD_KEY" not in part.environment
        assert part.environment["PATH"] == os.environ["PATH"]
