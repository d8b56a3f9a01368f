"""The Makefile is the list of commands: each is explained, and what the documents tell to type is there."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
PLACES = ["README.md", "CONTRIBUTING.md", "[a-z]*/README.md", "charts/*/*.md", "docs/*.md", "docs/adr/*.md"]
WITHOUT_A_CLUSTER = [
    "make install browser",
    "make lint",
    "make test",
    "make test-pages",
    "make test-system",
    "make test-chart",
]
DOCUMENTS = sorted(document for place in PLACES for document in ROOT.glob(place))


def targets() -> set[str]:
    """All targets that a person may call."""
    return {name for line in re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.M) for name in line.split()}


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call make in the repository's root."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments],
        cwd=ROOT,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_make_alone_prints_help() -> None:
    result = make()
    assert result.returncode == 0
    assert result.stdout == make("help").stdout
    assert "make up" not in result.stderr


def test_help_explains_every_target() -> None:
    shown = make("help").stdout
    for name in targets():
        assert re.search(rf"^  {name} +\S", shown, re.M), name


def test_every_explained_target_is_a_command() -> None:
    explained = set(re.findall(r"^([a-z0-9-]+):.*## ", MAKEFILE, re.M))
    assert explained == targets()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_documents_exist(document: Path) -> None:
    # Only what is marked as code: prose may make things as it likes.
    code = "\n".join(
        re.findall(r"`[^`\n]+`", document.read_text()) + re.findall(r"```.*?```", document.read_text(), re.S)
    )
    for name in re.findall(r"\bmake ((?:[A-Z_]+=\S+ )*)([a-z][a-z0-9-]*)", code):
        assert name[1] in targets(), f"{document.name} tells to `make {name[1]}`"


def test_paths_in_documents_exist() -> None:
    packages = {"serving_runtime": "serving", "metadata_api": "metadata-api", "marina_local": "metadata-api"}
    for document in DOCUMENTS:
        for path in re.findall(
            rf"`((?:serving|metadata-api|ui|models|tests|docs|{'|'.join(packages)})/[\w./-]+)`",
            document.read_text(),
        ):
            root = ROOT / packages.get(path.partition("/")[0], "")
            assert (root / path).exists(), f"{document.name} names {path}"


def anchors(document: Path) -> set[str]:
    """Names of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_in_documents_lead_to_a_file_and_a_heading(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.S)
    for link in re.findall(r"\]\(\s*([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = document.parent / path if path else document
        assert target.exists(), f"{document.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{document.name} links to {link}"


class TestContinuousIntegration:
    """`.ci/run` with stand-ins for `make` and the cluster."""

    def run(
        self, folder: Path, *, fails: str = "", cluster: bool = True, **environment: str
    ) -> tuple[int, list[str], str]:
        """Exit code, the commands that it ran, and what it printed; `fails` is a command that does."""
        log, programs = folder / "commands.txt", folder / "bin"
        programs.mkdir()
        log.touch()
        for path, is_there in ((programs / "make", True), (folder / "cluster", cluster)):
            line = f"{path.name} $*"
            path.write_text(f'#!/bin/sh\necho "{line}" >> {log}\n[ "{line}" != "{fails}" ]\n')
            path.chmod(0o755 if is_there else 0o644)
        search = f"{programs}:{os.environ['PATH']}"
        given: dict[str, str] = {"PATH": search, "TEST_CLUSTER": str(folder / "cluster"), **environment}
        done = subprocess.run([ROOT / ".ci" / "run"], env=given, capture_output=True, text=True, timeout=60)
        return done.returncode, log.read_text().splitlines(), done.stdout

    def test_it_lints_tests_and_drives_the_cluster_then_runs_what_takes_long(self, tmp_path: Path) -> None:
        code, commands, said = self.run(tmp_path, MARINA_CI_MINUTES="75")
        assert code == 0
        assert commands == [
            *WITHOUT_A_CLUSTER,
            "cluster up",
            f"make e2e CLUSTER=test TEST_CLUSTER={tmp_path}/cluster",
            "make test-long",
            "cluster down",
        ]
        assert "make test" in (ROOT / "README.md").read_text()
        for phase in (
            "lint",
            "test",
            "test-pages",
            "test-system",
            "test-chart",
            "cluster up",
            "e2e",
            "test-long",
        ):
            assert re.search(rf"^ +\d+ s  {phase}: passed$", said, re.M), said

    @pytest.mark.parametrize(
        "fails",
        [
            "make lint",
            "make test",
            "make test-pages",
            "make test-system",
            "make test-chart",
            "cluster up",
            "make test-long",
        ],
    )
    def test_a_phase_that_fails_fails_the_run_and_is_named(self, fails: str, tmp_path: Path) -> None:
        code, _, said = self.run(tmp_path, fails=fails, MARINA_CI_MINUTES="75")
        assert code != 0
        assert f"{fails.removeprefix('make ')}: FAILED" in said

    def test_without_a_cluster_it_fails(self, tmp_path: Path) -> None:
        code, commands, said = self.run(tmp_path, cluster=False)
        assert code != 0
        assert "cluster up: FAILED" in said
        assert not [command for command in commands if "e2e" in command]

    def test_without_a_cluster_it_passes_where_a_variable_says_that_there_is_none(
        self, tmp_path: Path
    ) -> None:
        code, commands, said = self.run(
            tmp_path, cluster=False, MARINA_CI_NO_CLUSTER="1", MARINA_CI_MINUTES="75"
        )
        assert code == 0
        assert "e2e: NOT RUN" in said
        assert commands == [
            *WITHOUT_A_CLUSTER,
            "make test-long",
        ]

    def test_what_takes_long_is_left_out_where_there_is_no_time_for_it(self, tmp_path: Path) -> None:
        code, commands, said = self.run(tmp_path, MARINA_CI_MINUTES="10")
        assert code == 0
        assert "test-long: NOT RUN" in said
        assert "make test-long" not in commands


def test_check_is_more_than_test() -> None:
    plan = make("--dry-run", "check").stdout
    for tool in ("ruff format --check", "ruff check", "mypy", "lint-imports", "pytest"):
        assert tool in plan, tool
    for marks in ("not long and", "browser and not", "system and not", "not helm and", "long or bench"):
        assert f'-m "{marks}' in plan, marks


def test_an_import_is_the_command_line_s() -> None:
    assert '.venv/bin/marina import "runs.csv"' in make("--dry-run", "import", "FILE=runs.csv").stdout


def test_without_a_fitting_python_one_line_says_what_is_needed(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    result = make(f"VENV={venv}", "PYTHON=", f"{venv}/bin/uv")
    assert result.returncode != 0
    assert result.stderr.splitlines()[0].startswith("Marina needs Python 3.11 to 3.13")
    assert not venv.exists()


def test_scripts_are_executable() -> None:
    for name in (".ci/run", ".ci/lock", ".ci/browser"):
        assert os.access(ROOT / name, os.X_OK), name
