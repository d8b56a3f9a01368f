"""The program `marina` on the machine of a running system: it finds address and token, and a model gets served."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, Stack

Marina = Callable[..., str]


@pytest.fixture
def marina(stack: Stack) -> Marina:
    """Run a command that has to succeed; its output. All that it is told is where the data folder is."""
    known = {key: value for key, value in os.environ.items() if not key.startswith("MARINA_")}

    def run(*arguments: object) -> str:
        done = subprocess.run(
            [Path(sys.executable).parent / "marina", *map(str, arguments)],
            env={**known, "MARINA_HOME": str(stack.home)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_model_is_pushed_deployed_asked_and_rolled_back(
    marina: Marina, api: httpx.Client, starter_mars: dict[str, Path]
) -> None:
    try:
        for number, starter in enumerate(("mlp-tiny-lr", "mlp-baseline"), 1):
            marina("push", starter_mars[starter], "--experiment", "pushed")
            said = marina("deploy", "pushed", "--runtime", "native", "--wait")
            assert said.startswith(f"pushed version {number} answers")
        assert "pushed      2        5 " in marina("ask", "models/examples/digit-5.png", "-d", "pushed")
        assert "ready" in marina("status", "pushed")
        assert "version 1 answers" in marina("rollback", "pushed", "--wait")
        marina("logs", "pushed")
    finally:
        api.delete("/v1/deployments/pushed")
        api.delete("/v1/experiments/pushed", params={"cascade": True})


def test_the_way_of_an_own_model_in_the_readme(stack: Stack, api: httpx.Client, tmp_path: Path) -> None:
    """The lines as they stand there, in a folder where the examples are."""
    part = (ROOT / "README.md").read_text().partition("### A model of your own")[2]
    lines = part.partition("```sh\n")[2].partition("```")[0]
    assert len(lines.splitlines()) == 6
    (tmp_path / "models").symlink_to(ROOT / "models")
    known = {key: value for key, value in os.environ.items() if not key.startswith("MARINA_")}
    search = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    try:
        done = subprocess.run(
            ["bash", "-euc", lines],
            env={**known, "PATH": search, "MARINA_HOME": str(stack.home)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "mine version 1 answers" in done.stdout
        assert any(label in done.stdout for label in ("  cat ", "  dog ", "  owl "))
        assert api.get("/v1/experiments/mine/versions/1").json()["labels"] == ["cat", "dog", "owl"]
    finally:
        api.delete("/v1/deployments/mine")
        api.delete("/v1/experiments/mine", params={"cascade": True})
