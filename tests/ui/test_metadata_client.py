"""The client against an API in the same process: what it sends, and which exception each failure becomes."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from model_ui.api_errors import ApiAway, ApiFaulty, ApiRejected
from model_ui.api_types import ExperimentPage
from model_ui.metadata_client import MetadataClient
from tests.ui.fake_api import FakeApi


def ask(transport: httpx.AsyncBaseTransport, question: Callable[[MetadataClient], Any]) -> Any:
    """One call in a client of its own."""

    async def run() -> Any:
        async with MetadataClient("http://api", transport=transport) as client:
            return await question(client)

    return anyio.run(run)


def answering(status: int, body: bytes) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(status, content=body))


async def read(name: str, client: MetadataClient) -> None:
    await client.experiment(name)


async def revoke(token_id: str, client: MetadataClient) -> None:
    await client.revoke_token(token_id)


@pytest.fixture
def fake() -> Iterator[FakeApi]:
    fake = FakeApi()
    yield fake
    assert fake.wrong == []


@pytest.fixture
def api(fake: FakeApi) -> httpx.ASGITransport:
    return httpx.ASGITransport(fake.app)


def test_experiments_are_read_with_their_metrics(api: httpx.ASGITransport) -> None:
    query = {"limit": "2", "search": "cnn"}
    page = ask(api, lambda client: client.call(ExperimentPage, "GET", "/v1/experiments", params=query))
    assert [item.name for item in page.items] == ["cnn-baseline", "cnn-fast"]
    assert page.total == 3
    assert page.items[0].metrics["loss"].best == 0.0555


def test_deployments_are_read_to_the_last_page(fake: FakeApi) -> None:
    first, second = list(fake.deployments.values())[:2]

    def answer(request: httpx.Request) -> httpx.Response:
        more = "cursor" not in request.url.params
        return httpx.Response(200, json={"items": [first if more else second], "next": "x" if more else None})

    found = ask(httpx.MockTransport(answer), lambda client: client.deployments())
    assert [item.name for item in found] == [first["name"], second["name"]]


def test_a_deployment_is_asked_for_with_its_runtime(fake: FakeApi, api: httpx.ASGITransport) -> None:
    made = ask(api, lambda client: client.deploy("cnn-fast", name="quick", runtime="native"))
    assert (made.name, made.runtime, fake.deployments["quick"]["runtime"]) == ("quick", "native", "native")


def test_models_have_the_time_that_their_deployments_say_unless_a_deadline_is_set() -> None:
    sent: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        assert request.extensions["timeout"]["read"] > (600 if b"deadline_ms" not in request.content else 1)
        return httpx.Response(200, json={"results": []})

    transport = httpx.MockTransport(answer)
    ask(transport, lambda client: client.predict(None, {"text": "a"}))
    ask(transport, lambda client: client.predict(None, {"text": "a"}, deadline_ms=1000))
    assert [b"deadline_ms" in content for content in sent] == [False, True]


def test_a_picture_is_asked_about_at_the_chosen_deployments(fake: FakeApi, api: httpx.ASGITransport) -> None:
    image = (Path(__file__).parents[2] / "ui" / "model_ui" / "examples" / "digit-5.png").read_bytes()
    names = ["cnn-baseline", "mlp-poor"]
    found = ask(api, lambda client: client.predict(image, {}, deployments=names))
    assert fake.predictions.asked == [names]
    assert [row.label for row in found.results] == ["5", "3"]


def test_other_input_is_asked_about_as_json(fake: FakeApi, api: httpx.ASGITransport) -> None:
    fake.add_kinds("shout")
    found = ask(
        api, lambda client: client.predict(None, {"text": "hello"}, deployments=["shout", "mlp-poor"])
    )
    assert fake.predictions.questions == [{"text": "hello"}]
    assert [row.text for row in found.results] == ["HELLO <b>!</b>"]
    assert [row.deployment for row in found.not_asked] == ["mlp-poor"]


def test_a_name_from_the_browser_cannot_become_another_path(fake: FakeApi, api: httpx.ASGITransport) -> None:
    for name in ("../experiments", "a/../../v1/imports", "", ".."):
        with pytest.raises(ApiRejected, match="nothing of this name"):
            ask(api, partial(read, name))
    assert fake.calls == []


def test_a_token_is_issued_listed_and_revoked(fake: FakeApi, api: httpx.ASGITransport) -> None:
    made = ask(
        api,
        lambda client: client.issue_token("job", "fetcher", deployments=["a"], expires_in_days=None),
    )
    assert (made.role, made.deployments, made.expires_at) == ("fetcher", ("a",), None)
    assert made.token.startswith(f"mrn_{made.id}_")
    ask(api, lambda client: client.revoke_token(made.id))
    found = {item.id: item for item in ask(api, lambda client: client.tokens())}
    assert found[made.id].revoked_at is not None


def test_an_id_from_the_browser_cannot_become_another_path(fake: FakeApi, api: httpx.ASGITransport) -> None:
    for token_id in ("../deployments/cnn-fast", "", "..", "0" * 13):
        with pytest.raises(ApiRejected, match="no token of this id"):
            ask(api, partial(revoke, token_id))
    assert fake.calls == []


def test_no_is_refused_with_the_words_of_the_api(api: httpx.ASGITransport) -> None:
    with pytest.raises(ApiRejected, match="cnn-fast is deployed already") as caught:
        ask(api, lambda client: client.deploy("cnn-fast"))
    assert (caught.value.status, caught.value.code) == (409, "deployment_exists")


def test_unavailable_is_away(fake: FakeApi, api: httpx.ASGITransport) -> None:
    fake.away = True
    with pytest.raises(ApiAway, match="The database does not answer"):
        ask(api, lambda client: client.deployments())


@pytest.mark.parametrize(
    "failure", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.ReadError("cut")]
)
def test_no_answer_is_away(failure: httpx.TransportError) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise failure

    with pytest.raises(ApiAway, match="The API"):
        ask(httpx.MockTransport(fail), lambda client: client.deployments())


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b'{"items": 1}'), (200, b""), (500, b"oops"), (500, b'{"error": "e"}')],
)
def test_nonsense_is_faulty(status: int, body: bytes) -> None:
    with pytest.raises(ApiFaulty):
        ask(answering(status, body), lambda client: client.deployments())
