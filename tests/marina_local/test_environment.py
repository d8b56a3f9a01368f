"""What the services see of the shell in which `make up` was typed."""

import os
from pathlib import Path

import pytest

from marina_local import environment, folder, services
from marina_local.errors import Unusable
from marina_local.postgres import Postgres
from marina_local.settings import LocalSettings
from serving_runtime.runtimes import environment as serving_environment

SHELL = {
    "PATH": "/usr/bin",
    "LC_ALL": "C.UTF-8",
    "OPENBLAS_CORETYPE": "Haswell",
    "CLOUD_KEY": "secret",
    "LABELS_URL": "http://labels.example",
    "PYTHONPATH": "/of/another/project",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "HTTPS_PROXY": "http://user:secret@proxy",
    "METADATA_API_DATABASE_URL": "postgresql://user:secret@elsewhere/other",
    "SERVING_MAX_BATCH": "8",
    "UI_POLL_SECONDS": "3",
    "SERVING_WORKER_ENVIRONMENT": "LABELS_URL, NOT_SET_ANYWHERE",
}
SERVICES = ("serving", "api", "migration", "ui", "training", "registration")


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_inherits_what_it_has_no_use_for(service: str) -> None:
    seen = environment.of_service(service, SHELL)
    assert {"PATH", "LC_ALL", "OPENBLAS_CORETYPE"} <= seen.keys()
    assert not {"CLOUD_KEY", "PYTHONPATH"} & seen.keys()
    assert ("SERVING_MAX_BATCH" in seen) == (service == "serving")
    assert ("LABELS_URL" in seen) == (service == "serving")
    assert ("UI_POLL_SECONDS" in seen) == (service == "ui")
    assert ("METADATA_API_DATABASE_URL" in seen) == (service in ("api", "migration"))
    assert ("AWS_SECRET_ACCESS_KEY" in seen) == (service == "api")
    assert ("HTTPS_PROXY" in seen) == (service == "api")


def test_what_a_worker_may_inherit_reaches_the_serving_process() -> None:
    assert serving_environment.INHERITED <= environment.INHERITED
    assert set(serving_environment.INHERITED_PREFIXES) <= set(environment.INHERITED_PREFIXES)


def test_every_service_is_started_with_it(settings: LocalSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "CLOUD_KEY", "a secret of the shell")
    postgres = Postgres(settings)
    started = [
        services.serving(settings),
        services.api(settings, postgres),
        services.migration(settings, postgres),
    ]
    started += [services.ui(settings), services.training(settings), services.registration(settings, [])]
    assert {service.name for service in started} == set(SERVICES)
    for service in [*started]:
        assert "CLOUD_KEY" not in service.environment
        assert service.environment["PATH"] == os.environ["PATH"]


def test_variables_of_another_database_are_forgotten() -> None:
    ours = {"PGSERVICE": "none", "PGSSLMODE": "verify-full", "PATH": "/usr/bin"}
    environment.forget_postgres(ours)
    assert ours == {"PATH": "/usr/bin"}


def test_certificates_that_are_not_there_are_named_before_anything_starts(tmp_path: Path) -> None:
    environment.check_certificates({"SSL_CERT_FILE": str(tmp_path), "SSL_CERT_DIR": ""})
    with pytest.raises(Unusable, match="REQUESTS_CA_BUNDLE names /nowhere.pem.*unset it"):
        environment.check_certificates({"REQUESTS_CA_BUNDLE": "/nowhere.pem"})


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "\udcff", "a\x07b", "a\u200bb", "a\u2028b"])
def test_a_data_folder_that_some_programs_cannot_read_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(Unusable, match="set MARINA_HOME") as rejected:
        folder.prepare(LocalSettings(home=tmp_path / name))
    assert str(rejected.value).isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["größe", "имя", "数据", "a b", "a:b", "a'b", 'a"b', "$HOME", "{x}", "a%20b", "-n"]
)
def test_any_other_name_is_one(tmp_path: Path, name: str) -> None:
    folder.prepare(LocalSettings(home=tmp_path / name))
    assert (tmp_path / name / "run").is_dir()
