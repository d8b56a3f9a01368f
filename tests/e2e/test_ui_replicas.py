"""Two replicas of the UI behind the Ingress, without session affinity: an open page survives the loss of its pod."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.cluster import HOST, RELEASE, admin_token, kubectl, objects, wait_for, wait_ready
from tests.ui import visits

UI = f"deployment/{RELEASE}-ui"


def pods() -> set[str]:
    """Names of the UI's pods that are ready and not on their way out."""
    found = objects("pods", "-l", f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=ui")
    return {
        pod["metadata"]["name"]
        for pod in found
        if "deletionTimestamp" not in pod["metadata"]
        and any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"]["conditions"])
    }


@pytest.fixture
def two(release: str) -> Iterator[None]:
    """Two pods of the UI, and one again at the end."""
    kubectl("scale", UI, "--replicas=2")
    wait_for("two pods of the UI", lambda: len(pods()) == 2)
    yield
    kubectl("scale", UI, "--replicas=1")
    kubectl("rollout", "status", UI, "--timeout=180s")


def test_an_open_page_survives_the_loss_of_each_pod(two: None, page: Page) -> None:
    wait_ready("cnn-baseline")
    visits.enter(page, f"http://{HOST}/?token={admin_token()}")
    page.evaluate("window.opened = true")
    for pod in sorted(pods()):
        kubectl("delete", "pod", pod)
        visits.draw(page)
        assert visits.see_answers(page, {"cnn-baseline", "mlp-helm"})["cnn-baseline"] == "5"
        visits.clear(page)
        wait_for("two pods of the UI again", lambda: len(pods()) == 2)
    assert page.evaluate("window.opened"), "the page was loaded anew"
    page.goto(f"http://{HOST}/deployments")
    expect(page.get_by_role("link", name="mlp-helm", exact=True).first).to_be_visible()
