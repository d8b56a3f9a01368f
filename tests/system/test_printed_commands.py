"""Every curl that a document prints, as it stands there, on the running system."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, Stack

DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("[a-z]*/README.md")])
# A signature needs keys that are trusted: tests/metadata_api/test_signatures.py says these commands.
SIGNED = "signature=@"
FENCE = re.compile(r"^```\w*\n(.*?)^```", re.M | re.S)


def commands() -> list[str]:
    """What begins with curl in a block of code, with the lines that go on with it."""
    found = []
    for document in DOCUMENTS:
        for block in FENCE.findall(document.read_text()):
            lines = block.replace("\\\n", " ").splitlines()
            found += [line.strip() for line in lines if line.strip().startswith("curl ")]
    return [command for command in found if SIGNED not in command]


@pytest.fixture
def folder(stack: Stack, tmp_path: Path) -> Iterator[Path]:
    """The folder in which somebody types them; what they made is gone afterwards."""
    (tmp_path / "models").symlink_to(ROOT / "models")
    (tmp_path / ".marina").symlink_to(stack.home)
    (tmp_path / "digit.png").symlink_to(ROOT / "models" / "examples" / "digit-7.png")
    stack.wait_until_ready("cnn-baseline")
    yield tmp_path
    with httpx.Client(base_url=stack.api_url, headers=stack.headers, timeout=30) as api:
        api.delete("/v1/aliases/champion")
        for token in api.get("/v1/tokens").json()["items"]:
            if token["name"] == "notebook":
                api.delete(f"/v1/tokens/{token['id']}")


def test_there_are_some_in_the_readme() -> None:
    assert len([command for command in commands() if command in (ROOT / "README.md").read_text()]) >= 3


@pytest.mark.parametrize("command", commands())
def test_it_works_as_printed(stack: Stack, folder: Path, command: str) -> None:
    for port, url in ((8000, stack.api_url), (8080, stack.serving_url), (7860, stack.ui_url)):
        address = url.removeprefix("http://")
        command = command.replace(f"127.0.0.1:{port}", address).replace(f"localhost:{port}", address)
    command = command.replace("curl ", "curl --fail-with-body ", 1)
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
