"""What the code of an archive sees of the environment in which the server was started."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from serving_runtime.contracts import RUNTIMES
from serving_runtime.runtimes import environment
from serving_runtime.settings import Settings, WorkerSettings

from .. import archives
from ..conftest import Front

# Written when the model is loaded, by the code of the archive: its own view, and the kernel's view of its process.
REPORT = (
    "from pathlib import Path; "
    "Path({folder!r}, 'view').write_text(repr(dict(os.environ))); "
    "Path({folder!r}, 'kernel').write_bytes(Path('/proc/self/environ').read_bytes())"
)


@pytest.fixture(scope="module", params=RUNTIMES)
def views(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Both views of a model's worker, for each runtime."""
    folder = tmp_path_factory.mktemp("views")
    archive = folder / "summing.mar"
    archives.summing(archive, on_load=REPORT.format(folder=str(folder)))
    front = Front(
        folder / "front",
        request.param,
        CLOUD_KEY="a secret of the shell",
        SERVING_SOMETHING="a setting of the front",
        LABELS_URL="http://labels.example",
        LC_ALL="C.UTF-8",
        OPENBLAS_CORETYPE="Haswell",
        PYTHONPATH=os.pathsep.join((str(Path(environment.__file__).parents[2]), "/other/users")),
        SERVING_WORKER_ENVIRONMENT="LABELS_URL, NOT_SET_ANYWHERE",
        SERVING_CONTAINMENT="off",  # which would keep the archive's code from telling what it sees
    )
    try:
        front.want("summing", "1", archive)
        front.wait_until("summing", state="ready")
        assert "SERVING_WORKER_ENVIRONMENT names NOT_SET_ANYWHERE, which is not set" in front.log.read_text()
        yield [(folder / name).read_text() for name in ("view", "kernel")]
    finally:
        front.stop()


class TestWorkers:
    def test_a_secret_of_the_shell_is_nowhere(self, views: list[str]) -> None:
        for view in views:
            assert "CLOUD_KEY" not in view
            assert "a secret of the shell" not in view

    def test_settings_of_the_front_and_paths_of_others_are_nowhere(self, views: list[str]) -> None:
        for view in views:
            assert "SERVING_SOMETHING" not in view
            assert "/other/users" not in view

    def test_a_variable_that_the_setting_names_is_there(self, views: list[str]) -> None:
        for view in views:
            assert "http://labels.example" in view

    def test_what_libraries_need_is_there(self, views: list[str]) -> None:
        for view in views:
            for name in ("PATH", "LC_ALL", "OPENBLAS_CORETYPE", "OMP_NUM_THREADS"):
                assert name in view


class TestSetting:
    @pytest.mark.parametrize("value", ["", "ONE", "ONE,TWO", " ONE , _two3 "])
    def test_names_separated_by_commas_are_taken(self, value: str) -> None:
        settings = Settings(models_file=Path("models.json"), worker=WorkerSettings(environment=value))
        assert settings.worker.variables == value.replace(",", " ").split()

    @pytest.mark.parametrize("value", ["ONE=1", "ONE TWO", "ONE,,TWO", "1ONE", "ONE,"])
    def test_anything_else_is_rejected(self, value: str) -> None:
        with pytest.raises(ValidationError, match="environment"):
            WorkerSettings(environment=value)
