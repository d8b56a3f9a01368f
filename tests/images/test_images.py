"""Every image: small, without tools, from the locks, and at once there and gone."""

import json
import re
import signal
from pathlib import Path

import pytest

from tests.images.conftest import BUILDER, NAMES, ROOT, Start, described, python, reference

ENTRIES = {
    "marina-serving": "serving_runtime.__main__",
    "marina-metadata-api": "metadata_api.app",
    "marina-ui": "model_ui.app",
    "marina-models": "serving_runtime.archive.mar",
    "marina-serving-native": "serving_runtime.__main__",
}
TOOLS = ("pip", "pip3", "uv", "gcc", "cc", "g++", "make", "strip", "jlink", "javac", "git", "curl", "wget")


@pytest.mark.parametrize("name", NAMES)
class TestEveryImage:
    def test_it_adds_no_more_than_its_cap(self, name: str) -> None:
        added = BUILDER.added_bytes(reference(name)) / BUILDER.MEGABYTE
        assert added <= BUILDER.ALL[name].cap

    def test_its_user_is_a_number_that_is_not_root(self, name: str) -> None:
        assert described(name)["Config"]["User"] == "10001:10001"

    def test_its_program_is_the_first_process_without_a_shell(self, name: str) -> None:
        config = described(name)["Config"]
        command = [*(config["Entrypoint"] or []), *(config["Cmd"] or [])]
        assert command[0] == "python"

    def test_there_is_nothing_to_install_or_compile_with(self, name: str) -> None:
        code = f"""
import importlib.util, json, shutil
modules = [name for name in ("pip", "setuptools", "ensurepip", "wheel") if importlib.util.find_spec(name)]
print(json.dumps([*filter(shutil.which, {TOOLS!r}), *modules]))
"""
        assert json.loads(python(name, code)) == []

    def test_every_package_is_the_locked_one(self, name: str) -> None:
        code = (
            "import json, importlib.metadata as m\n"
            "print(json.dumps({d.name.lower().replace('_', '-'): d.version for d in m.distributions()}))"
        )
        installed: dict[str, str] = json.loads(python(name, code))
        folder = BUILDER.ALL[name].folder
        locked = versions(ROOT / folder / "requirements.lock", ROOT / "serving" / "torch-cpu.lock")
        ours = {"marina-serving", "marina-metadata-api", "marina-ui"}
        strangers = {
            package: version
            for package, version in installed.items()
            if package not in ours and version not in locked.get(package, set())
        }
        assert strangers == {}

    def test_nothing_in_it_can_be_changed_by_its_user(self, name: str) -> None:
        code = """
import os
for top in ("/app", "/opt", "/usr", "/etc"):
    for folder, _, files in os.walk(top):
        for path in (folder, *(os.path.join(folder, file) for file in files)):
            if not os.path.islink(path) and os.stat(path).st_mode & 0o002 | (os.stat(path).st_uid == 10001):
                print(path)
"""
        assert python(name, code).split() == []

    def test_a_start_finds_its_bytecode(self, name: str) -> None:
        modules = [ENTRIES[name], *(["torch"] if "serving" in name else [])]
        code = f"""
import importlib, json, os, sys
for name in {modules!r}:
    importlib.import_module(name)
spec = lambda module: getattr(module, "__spec__", None)
files = [s for s in map(spec, list(sys.modules.values())) if s and str(s.origin).endswith(".py") and s.cached]
print(json.dumps([len(files), [s.name for s in files if not os.path.exists(s.cached)]]))
"""
        loaded, missing = json.loads(python(name, code))
        assert len(missing) <= 0.05 * loaded, missing


def test_the_api_is_shipped_without_the_one_machine_launcher() -> None:
    assert (
        python("marina-metadata-api", "import importlib.util as u; print(u.find_spec('marina_local'))")
        == "None\n"
    )


def test_the_api_starts_without_a_database(start: Start) -> None:
    api = start("marina-metadata-api", *DATABASE, "--tmpfs", "/var/lib/marina:uid=10001")
    api.wait_for("http://127.0.0.1:8000/livez", 20)
    code, seconds = api.stop()
    assert code == 0
    assert seconds < 10


def test_the_ui_shows_its_page_without_an_api(start: Start) -> None:
    ui = start("marina-ui")
    ui.wait_for("http://127.0.0.1:7860/", 60)
    assert b"Marina" in ui.ask("http://127.0.0.1:7860/")[1]
    code, seconds = ui.stop()
    assert code == 0
    assert seconds < 10


def test_the_starters_are_registered_through_images_alone(start: Start) -> None:
    """Postgres, the migration, the API, the job: as in the chart, in one network namespace."""
    postgres = start("postgres:18", "--env", "POSTGRES_PASSWORD=secret")
    shared = f"container:{postgres.id}"
    folder = ("--tmpfs", "/var/lib/marina:uid=10001")
    retry = ("--entrypoint", "sh")
    migrate = "for i in $(seq 60); do python -m metadata_api.migrate && exit 0; sleep 1; done; exit 1"
    migration = start(
        "marina-metadata-api", *DATABASE, *folder, *retry, command=("-c", migrate), network=shared
    )
    assert migration.ended() == 0, migration.log()
    api = start("marina-metadata-api", *DATABASE, *folder, network=shared)
    api.wait_for("http://127.0.0.1:8000/readyz", 30)
    job = start("marina-models", network=shared)
    assert job.ended() == 0, job.log()
    assert "15 starters known; new: 15 experiments, 15 versions, 15 deployments" in job.log()
    found = json.loads(api.ask("http://127.0.0.1:8000/v1/experiments/cnn-baseline")[1])
    assert found["name"] == "cnn-baseline"


def test_the_job_ends_when_it_is_told_to(start: Start) -> None:
    job = start("marina-models")  # its API is away, so it tries for a minute
    job.wait_until_it_handles(signal.SIGTERM)
    code, seconds = job.stop()
    assert code == 143
    assert seconds < 5


# Nothing listens there, unless a test starts a Postgres in the same network namespace.
DATABASE = tuple(
    word
    for name, value in {
        "METADATA_API_DATABASE_URL": "postgresql+psycopg2://postgres:secret@127.0.0.1:5432/postgres",
        "METADATA_API_SERVING_MODELS_FILE": "/tmp/models.json",
    }.items()
    for word in ("--env", f"{name}={value}")
)


def versions(*locks: Path) -> dict[str, set[str]]:
    """Package -> its versions in some locks, one for each Python."""
    found: dict[str, set[str]] = {}
    for lock in locks:
        for name, version in re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^ ]+)", lock.read_text(), re.M):
            found.setdefault(name, set()).add(version)
    return found
