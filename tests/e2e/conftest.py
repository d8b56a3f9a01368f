"""One release for the whole run, in a namespace under Pod Security `restricted`; every test says how long it took."""

import os
import subprocess
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.e2e import cluster
from tests.e2e.doctor import doctor


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed shows what was in the cluster, before its namespace is deleted."""
    report = yield
    if report.failed:
        report.sections.append(("the doctor", the_doctors_words()))
        report.sections.append(("pods and events", state_of_the_cluster()))
    return report


def state_of_the_cluster() -> str:
    """Every pod that is not the cluster's own, and the newest events, as kubectl prints them."""
    pods = ("get", "pods", "-A", "-o", "wide", "--field-selector", "metadata.namespace!=kube-system")
    events = ("get", "events", "-A", "--sort-by", ".metadata.creationTimestamp")
    shown = []
    for words in (pods, events):
        done = subprocess.run(["kubectl", *words], capture_output=True, text=True, timeout=60, check=False)
        shown.append("\n".join((done.stdout + done.stderr).splitlines()[-60:]))
    return "\n\n".join(shown)


def the_doctors_words() -> str:
    """What `make doctor` says of the release."""
    try:
        return "\n".join(doctor()[1])
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the doctor itself failed: {error}"


@pytest.fixture(autouse=True)
def told(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print each step with its seconds."""
    begin = time.monotonic()
    yield
    print(f"\n{time.monotonic() - begin:7.1f} s  {request.node.name.removeprefix('test_').replace('_', ' ')}")


@pytest.fixture
def page() -> Iterator[Page]:
    """A page in Chromium, which resolves every name below `localhost` to this machine."""
    program = os.environ.get("MARINA_CHROMIUM") or cluster.run(
        "sh", "-c", "command -v chromium || command -v google-chrome"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program.strip(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(30_000)
        yield page
        browser.close()


@pytest.fixture(scope="session")
def release() -> Iterator[str]:
    """The installed release; it is uninstalled at the end, unless MARINA_E2E_KEEP is set."""
    begin = time.monotonic()
    print(f"\n{cluster.script('deploy', VALUES=str(Path(__file__).with_name('values.yaml')))}")
    print(f"{time.monotonic() - begin:7.1f} s  helm install")
    try:
        print(f"\n{cluster.script('wait')}")
        print(f"{time.monotonic() - begin:7.1f} s  until every model answered")
        yield cluster.RELEASE
    finally:
        if not os.environ.get("MARINA_E2E_KEEP"):
            cluster.script("uninstall", PURGE="yes")
            cluster.run("kubectl", "delete", "namespace", cluster.NAMESPACE, "--wait", "--timeout=120s")
