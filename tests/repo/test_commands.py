"""The Makefile is the list of commands: each is explained, and what the documents tell to type is there."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
PLACES = ["README.md", "CONTRIBUTING.md", "[a-z]*/README.md", "charts/*/*.md", "docs/*.md", "docs/adr/*.md"]
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


def test_continuous_integration_runs_the_readmes_test_command_and_then_the_cluster() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert re.findall(r"^make (\S+)", script, re.M) == ["test", "e2e"]
    assert "make test" in (ROOT / "README.md").read_text()


def test_check_is_more_than_test() -> None:
    plan = make("--dry-run", "check").stdout
    for tool in ("ruff format --check", "ruff check", "mypy", "lint-imports", "pytest"):
        assert tool in plan, tool


def test_without_a_fitting_python_one_line_says_what_is_needed(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    result = make(f"VENV={venv}", "PYTHON=", f"{venv}/bin/uv")
    assert result.returncode != 0
    assert result.stderr.splitlines()[0].startswith("Marina needs Python 3.11 to 3.13")
    assert not venv.exists()


def test_scripts_are_executable() -> None:
    for name in (".ci/run", ".ci/lock", ".ci/browser"):
        assert os.access(ROOT / name, os.X_OK), name
