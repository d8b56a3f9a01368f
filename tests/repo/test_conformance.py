"""docs/conformance.md is of the tests that there are, and says of each what a run of them found."""

import subprocess
import sys
from pathlib import Path

import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio

from tests.serving.conformance import table

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "conformance.md"
CLIENTS = {
    "tritonclient.http": triton.InferenceServerClient,
    "tritonclient.http.aio": triton_aio.InferenceServerClient,
}
NO_CALLS = {"close", "plugin", "register_plugin", "unregister_plugin"}


def test_the_document_has_the_rows_of_the_tests_and_the_versions_of_the_clients() -> None:
    command = [sys.executable, "-m", "tests.serving.conformance.table", "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", CLIENTS)
def test_every_call_of_tritonclient_has_a_row(name: str) -> None:
    text = DOCUMENT.read_text()
    own = text.partition(f"## {name}.InferenceServerClient\n")[2].partition("\n## ")[0]
    unsupported = text.partition("## What is not supported\n")[2]
    calls = {call for call in dir(CLIENTS[name]) if not call.startswith("_")} - NO_CALLS
    assert "infer" in calls
    for call in calls:
        assert f"`{call}`" in own + unsupported, (
            f"{call} has no row: it needs a test, and then `make conformance`"
        )


SUITE = """
import pytest

pytestmark = pytest.mark.section("Datatypes")

@pytest.fixture(scope="session", params=["old", "new"])
def served(request):
    return request.param

@pytest.mark.row("good")
def test_good(served):
    pass

@pytest.mark.row("{what}")
@pytest.mark.parametrize("what", ["shared"])
@pytest.mark.parametrize("number", [1, 2])
def test_shared(served, what, number):
    assert (served, number) != ("new", 2)

@pytest.mark.section("What is not supported")
@pytest.mark.row("never", why="it is late")
def test_never(served):
    if served == "old":
        pytest.skip("not today")
"""


@pytest.mark.bench
class TestTable:
    """In this process, with small suites."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "one").mkdir()
        (tmp_path / "other").mkdir()
        return tmp_path

    def call(self, suite: Path, source: str, *options: str) -> int:
        (suite / "test_suite.py").write_text(source)
        out = suite.parent / "table.md"
        return table.main(["--suite", str(suite), "--out", str(out), "-p", "no:cacheprovider", *options])

    def test_each_cell_is_what_the_tests_of_its_row_did(self, folder: Path) -> None:
        assert self.call(folder / "one", SUITE) == 1
        text = (folder / "table.md").read_text()
        assert [line for line in text.splitlines() if line.startswith("| ")] == [
            "| what | old | new |",
            "| --- | --- | --- |",
            "| good | passed | passed |",
            "| shared | passed | failed |",
            "| what | why | old | new |",
            "| --- | --- | --- | --- |",
            "| never | it is late | not run | passed |",
        ]
        assert "3 rows: old 2 passed, 1 not run; new 2 passed, 1 failed.\n" in text

    def test_a_run_in_which_all_passes_is_a_success_and_writes_the_same_again(self, folder: Path) -> None:
        good = SUITE.replace('("new", 2)', "()").replace('== "old"', '== "older"')
        assert self.call(folder / "one", good) == 0
        first = (folder / "table.md").read_text()
        assert self.call(folder / "one", good) == 0
        assert (folder / "table.md").read_text() == first

    def test_another_row_makes_the_document_stale_whatever_the_cells_say(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.call(folder / "one", SUITE)
        assert self.call(folder / "one", SUITE, "--check") == 0
        assert self.call(folder / "other", SUITE.replace('row("good")', 'row("better")'), "--check") == 1
        said = capsys.readouterr().err
        assert "-| good | passed | passed |" in said
        assert "+| better | " in said
        assert "run `make conformance`" in said

    @pytest.mark.parametrize(
        ("old", "new", "word"),
        [
            ('@pytest.mark.row("good")', "", "test_good[old] has no row"),
            ('section("Datatypes")', 'section("Datatipes")', "'Datatipes'"),
            ("import pytest\n", "import pytest, no_such_module\n", "no_such_module"),
        ],
        ids=["no row", "no such section", "no such module"],
    )
    def test_a_suite_that_cannot_be_read_is_no_document(
        self, folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, word: str
    ) -> None:
        assert self.call(folder / "one", SUITE.replace(old, new)) not in (0, 1)
        assert word in "".join(capsys.readouterr())
        assert not (folder / "table.md").exists()
