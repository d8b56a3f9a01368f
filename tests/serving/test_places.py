"""Where the serving process may work, and with which Java: any folder, and no Java that is too old."""

import subprocess
import sys
from pathlib import Path

import pytest

from serving_runtime.__main__ import _short
from serving_runtime.errors import LoadFailed
from serving_runtime.runtimes.torchserve import java

OLD = "#!/bin/sh\necho 'openjdk version \"1.8.0_392\"' >&2\n"


class TestFolder:
    """UNIX sockets, TorchServe's configuration and Java's arguments want a short and plain path."""

    def test_a_plain_one_is_taken(self) -> None:
        assert _short(Path("/srv/marina/serving")) == Path("/srv/marina/serving/run")

    @pytest.mark.parametrize(
        "name",
        [
            *(
                "größe",
                "имя",
                "数据",
                "a b",
                "a:b",
                "a=b",
                "a%20b",
                "a'b",
                'a"b',
                "a\\b",
                "a#b",
                "a,b",
                "a;b",
            ),
            *("$HOME", "{x}", "*", "~", "a\nb", "-e\u0301", "x" * 90, "\udcff"),
        ],
    )
    def test_any_other_has_its_sockets_elsewhere(self, name: str) -> None:
        here, again = (_short(Path("/srv") / name / "serving") for _ in range(2))
        assert here == again
        assert here != _short(Path("/srv") / f"{name}2" / "serving")
        assert here.parent == Path("/tmp")
        assert here.name.startswith("marina-")
        assert here.name.isascii()

    def test_also_where_temporary_files_have_an_odd_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tempfile.tempdir", "/tmp/ü")
        assert _short(Path("/srv/ü")).parent == Path("/tmp")


class TestJava:
    @pytest.fixture(autouse=True)
    def anew(self) -> None:
        java._version.cache_clear()

    def _home(self, folder: Path, program: str = "", release: str | None = None) -> str:
        (folder / "bin").mkdir()
        if program:
            (folder / "bin" / "java").write_text(program)
            (folder / "bin" / "java").chmod(0o755)
        if release is not None:
            (folder / "release").write_text(release)
        return str(folder)

    @pytest.mark.parametrize(
        ("program", "release"),
        [
            pytest.param(OLD, None, id="8, without a release file"),
            pytest.param(OLD, 'JAVA_VERSION="1.8.0_392"\n', id="8, with one"),
            pytest.param(OLD, 'IMPLEMENTOR="x"\nJAVA_VERSION="11.0.2"\n', id="11"),
            pytest.param(OLD, 'JAVA_VERSION="16"\n', id="16"),
            pytest.param("", 'JAVA_VERSION="21.0.4"\n', id="a folder without a program"),
            pytest.param("", None, id="an empty folder"),
            pytest.param("#!/bin/sh\nexit 3\n", None, id="one that does not run"),
            pytest.param("#!/nowhere\n", None, id="one for another system"),
            pytest.param("#!/bin/sh\necho 'no java at all' >&2\n", None, id="another program"),
            pytest.param("#!/bin/sh\necho 'openjdk version \"21\"' >&2; exit 1\n", None, id="one that fails"),
            pytest.param("#!/bin/sh\nexec sleep 60\n", None, id="one that hangs"),
        ],
    )
    def test_one_that_is_none_or_too_old_is_passed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, release: str | None
    ) -> None:
        monkeypatch.setattr(java, "_ASK_SECONDS", 0.5)
        monkeypatch.setenv("JAVA_HOME", self._home(tmp_path, program, release))
        assert java.java_home() != tmp_path
        assert java.java_version() >= java.OLDEST

    @pytest.mark.parametrize(
        ("program", "release", "version"),
        [
            ("#!/bin/sh\n", 'JAVA_VERSION="17.0.9"\n', 17),
            ("#!/bin/sh\n", 'SOURCE=""\nJAVA_VERSION="25"\n', 25),
            ("#!/bin/sh\necho 'openjdk version \"21.0.4\" 2024-07-16' >&2\n", None, 21),
            ("#!/bin/sh\necho 'Picked up options' >&2; echo 'java version \"17\"' >&2\n", "", 17),
        ],
    )
    def test_one_that_is_new_enough_is_taken(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, release: str | None, version: int
    ) -> None:
        monkeypatch.setenv("JAVA_HOME", self._home(tmp_path, program, release))
        assert (java.java_home(), java.java_version()) == (tmp_path, version)

    def test_without_another_the_reason_names_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("JAVA_HOME", self._home(tmp_path, OLD))
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        with pytest.raises(LoadFailed, match=f"JAVA_HOME={tmp_path} is no Java 17 or newer: set it"):
            java.java_home()


def test_make_ignores_the_packages_of_another_environment(tmp_path: Path) -> None:
    """A foreign PYTHONPATH, or PYTHONHOME, would put its modules in the place of ours."""
    (tmp_path / "Makefile").write_text(
        f"include {Path(__file__).parents[2]}/Makefile\nshow:\n\t@{sys.executable} -c 'import os; print(os.environ)'\n"
    )
    done = subprocess.run(
        ["make", "-C", str(tmp_path), "show"],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": "/foreign", "PYTHONHOME": "/foreign"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "/foreign" not in done.stdout
