"""Two real processes of the UI behind one address, as two replicas are: a page outlives the loss of its process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.asgi import Server
from tests.ports import free_port
from tests.ui.fake_api import FakeApi
from tests.ui.test_two_processes import Balancer
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.long]
# An idle page asks every 12 s.
NOTICED_MS = 20_000


class Replicas:
    """The processes by their addresses, the balancer before them, and the fake API behind them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.api = FakeApi()
        api = stack.enter_context(Server(self.api.app))
        port, public = free_port(), free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for host in ("127.0.0.1", "127.0.0.2"):
            variables = {
                "UI_API_URL": api.url, "UI_HOST": host, "UI_PORT": str(port),
                "UI_ALLOWED_HOSTS": f"127.0.0.1:{public}", "UI_UPLOAD_DIR": str(folder / host), "PYTHONPATH": "ui",
            }  # fmt: skip
            process = subprocess.Popen([sys.executable, "-m", "model_ui"], env={**os.environ, **variables})
            stack.callback(_end, process)
            self.processes[f"http://{host}:{port}"] = process
        self.balancer = Balancer(list(self.processes))
        self.url = stack.enter_context(Server(self.balancer, public)).url
        for address, process in self.processes.items():
            until(lambda a=address, p=process: p.poll() is not None or _answers(a), f"{address} starts", 60)  # type: ignore[misc]

    def kill(self, address: str) -> None:
        self.processes[address].kill()
        self.processes[address].wait(10)


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    with ExitStack() as stack:
        yield Replicas(tmp_path, stack)


def test_a_page_outlives_its_process(browser: Browser, replicas: Replicas) -> None:
    first, second = replicas.processes
    page = browser.new_page()
    page.goto(f"{replicas.url}/experiments")
    expect(page.locator("tbody tr")).to_have_count(7)
    # A form at one process, the page with its message at the other.
    page.goto(f"{replicas.url}/experiment?name=cnn-fast")
    page.get_by_label("Notes").fill("seen by two")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#status")).to_contain_text("The notes are saved.")
    assert min(replicas.balancer.asked[one] for one in (first, second)) > 2
    replicas.kill(first)
    page.get_by_role("button", name="Undo").click()
    until(lambda: replicas.api.experiments["cnn-fast"]["notes"] == "", "the notes are as they were")
    # An open page goes on without being loaded anew.
    page.goto(f"{replicas.url}/experiments")
    page.evaluate("window.loaded = true")
    replicas.api.experiments["mlp-poor"]["display_name"] = "renamed meanwhile"
    expect(page.get_by_text("renamed meanwhile")).to_be_visible(timeout=NOTICED_MS)
    assert page.evaluate("window.loaded") is True
    page.close()


def test_both_processes_know_a_page_by_the_same_tag(replicas: Replicas) -> None:
    for path in ("/experiments", "/experiment?name=cnn-fast", "/pulse", "/settings"):
        headers = {"accept": "text/html", "marina-live": "12", "host": replicas.url.removeprefix("http://")}
        tags = {
            httpx.get(f"{address}{path}", headers=headers).headers["etag"] for address in replicas.processes
        }
        assert len(tags) == 1, path


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/livez").is_success
    except httpx.TransportError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)
