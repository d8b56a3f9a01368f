"""How the UI learns who a visitor is: how often it asks, how long an answer holds, what it keeps."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import httpx
import pytest

from model_ui import authentication
from model_ui.api_types import Me
from model_ui.authentication import (
    FRESH_SECONDS,
    KEPT,
    MOST_WAITING,
    OUTAGE_SECONDS,
    Authenticator,
    Unauthenticated,
    Unverified,
)
from model_ui.metadata_client import MetadataClient
from tests.ui.fake_callers import me, token

TOKEN = token("deployer")


class Api:
    """An API that knows some tokens; `away` makes it answer 503, `now` is the clock of the authenticator."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {TOKEN: me("deployer")}
        self.asked: list[str | None] = []
        self.away = False
        self.seconds = 0.01
        self.now = 1000.0
        client = MetadataClient("http://api", transport=httpx.MockTransport(self._answer))
        self.authenticator = Authenticator(client, clock=lambda: self.now)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/me"
        presented = request.headers.get("authorization")
        self.asked.append(presented)
        await anyio.sleep(self.seconds)
        if self.away:
            return httpx.Response(
                503, json={"error": "database_unavailable", "detail": "The database is away."}
            )
        found = self.known.get((presented or "").removeprefix("Bearer "))
        if found is None:
            return httpx.Response(401, json={"error": "unauthenticated", "detail": "Unknown token."})
        return httpx.Response(200, json=found)

    async def who(self, presented: str | None = TOKEN) -> str:
        """The subject, or the name of what was raised."""
        try:
            return (await self.authenticator.identify(presented)).subject
        except (Unauthenticated, Unverified) as error:
            return type(error).__name__


@pytest.fixture
def api() -> Api:
    return Api()


def run(scenario: Callable[[], Any]) -> None:
    anyio.run(scenario)


def test_the_api_is_asked_with_the_token_once_in_five_seconds(api: Api) -> None:
    async def scenario() -> None:
        for seconds in (0, 1, FRESH_SECONDS - 1.1):
            api.now += seconds
            assert await api.who() == "a deployer"
        assert api.asked == [f"Bearer {TOKEN}"]
        api.now += 0.2
        assert await api.who() == "a deployer"
        assert len(api.asked) == 2

    run(scenario)


def test_many_requests_at_once_ask_once(api: Api) -> None:
    async def scenario() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(api.who)
        assert len(api.asked) == 1

    run(scenario)


def test_a_request_that_is_cancelled_ends_no_question_of_others(api: Api) -> None:
    async def scenario() -> None:
        with anyio.move_on_after(0.001):
            await api.who()
        assert await api.who() == "a deployer"
        assert len(api.asked) == 1

    run(scenario)


def test_a_revoked_token_is_gone_within_five_seconds(api: Api) -> None:
    async def scenario() -> None:
        assert await api.who() == "a deployer"
        api.known.clear()
        api.now += FRESH_SECONDS
        assert await api.who() == "Unauthenticated"
        api.away = True
        assert await api.who() == "Unauthenticated"
        api.now += FRESH_SECONDS
        assert await api.who() == "Unverified"

    run(scenario)


def test_of_those_who_are_verified_by_the_same_one_asks_for_all(api: Api) -> None:
    tokens = [token("viewer", number) for number in range(50)]
    api.known = {one: me("viewer", verified_by="before") for one in tokens}
    api.known[TOKEN] = me("deployer", kind="oidc", verified_by="before")
    api.seconds = 0

    async def scenario() -> None:
        for one in (*tokens, TOKEN):
            await api.who(one)
        asked = len(api.asked)
        for _ in range(4):
            api.now += FRESH_SECONDS
            assert {await api.who(one) for one in tokens} == {"a viewer"}
            # Of another kind: the same words mean nothing.
            assert await api.who(TOKEN) == "a deployer"
        assert len(api.asked) == asked + 4 * 2
        # Whoever did not ask for long is kept through an outage as anybody else.
        api.away = True
        api.now += FRESH_SECONDS
        assert await api.who(tokens[-1]) == "a viewer"

    run(scenario)


def test_one_revoked_among_many_is_gone_within_five_seconds(api: Api) -> None:
    tokens = [token("viewer", number) for number in range(5)]
    api.known = {one: me("viewer", verified_by="before") for one in tokens}

    async def scenario() -> None:
        for one in tokens:
            await api.who(one)
        api.now += FRESH_SECONDS
        assert await api.who(tokens[0]) == "a viewer"
        del api.known[tokens[3]]
        api.known = {one: me("viewer", verified_by="after") for one in api.known}
        # Somebody learns of it, and somebody else holds for what was true up to five seconds ago.
        api.now += FRESH_SECONDS
        assert await api.who(tokens[0]) == "a viewer"
        assert await api.who(tokens[3]) == "Unauthenticated"
        assert await api.who(tokens[4]) == "a viewer"
        asked = len(api.asked)
        api.now += FRESH_SECONDS - 0.1
        for one in (tokens[0], tokens[4]):
            assert await api.who(one) == "a viewer"
        assert len(api.asked) == asked

    run(scenario)


def test_the_api_that_says_nothing_of_it_is_asked_for_each(api: Api) -> None:
    other = token("viewer", 2)
    api.known[other] = me("viewer")

    async def scenario() -> None:
        for _ in range(3):
            assert [await api.who(), await api.who(other)] == ["a deployer", "a viewer"]
            api.now += FRESH_SECONDS
        assert len(api.asked) == 6

    run(scenario)


def test_a_short_outage_logs_nobody_out_and_a_long_one_lets_nobody_in(api: Api) -> None:
    async def scenario() -> None:
        assert await api.who() == "a deployer"
        api.away = True
        for _ in range(int(OUTAGE_SECONDS / FRESH_SECONDS) - 1):
            api.now += FRESH_SECONDS
            assert await api.who() == "a deployer"
        api.now += FRESH_SECONDS
        assert await api.who() == "Unverified"
        api.now -= FRESH_SECONDS
        assert await api.who() == "Unverified"
        api.away = False
        assert await api.who() == "a deployer"

    run(scenario)


def test_who_was_never_checked_is_not_let_in_while_the_api_is_away(api: Api) -> None:
    async def scenario() -> None:
        api.away = True
        assert await api.who() == "Unverified"
        assert await api.who(None) == "Unverified"

    run(scenario)


def test_a_token_that_expires_in_an_outage_is_not_accepted(api: Api) -> None:
    async def scenario() -> None:
        soon = datetime.now(UTC) + timedelta(seconds=0.2)
        api.known[TOKEN] = me("deployer", expires_at=soon.isoformat())
        assert await api.who() == "a deployer"
        api.away = True
        await anyio.sleep(0.25)
        assert await api.who() == "Unauthenticated"

    run(scenario)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, json={"error": "route_unknown", "detail": "Nothing here."}),
        httpx.Response(500, content=b"oops"),
        httpx.Response(200, json={"subject": "x", "role": "emperor", "kind": "token"}),
        httpx.Response(200, json={"subject": "x", "kind": "none"}),
        httpx.Response(302, headers={"location": "http://evil.example/"}),
    ],
    ids=["404", "500", "unknown role", "no role", "redirect"],
)
def test_only_a_clear_answer_lets_somebody_in(answer: httpx.Response) -> None:
    async def scenario() -> None:
        client = MetadataClient("http://api", transport=httpx.MockTransport(lambda _: answer))
        for presented in (TOKEN, None):
            with pytest.raises(Unverified):
                await Authenticator(client).identify(presented)

    run(scenario)


def test_a_flood_of_wrong_tokens_forgets_nobody_and_takes_bounded_memory(api: Api) -> None:
    async def scenario() -> None:
        api.seconds = 0
        assert await api.who() == "a deployer"
        for number in range(KEPT + 50):
            assert await api.who(token("viewer", number)) == "Unauthenticated"
        asked = len(api.asked)
        api.away = True
        api.now += FRESH_SECONDS
        assert await api.who() == "a deployer"
        assert len(api.asked) == asked + 1
        kept = vars(api.authenticator)
        assert len(vars(kept["_rejected"])["_found"]) == KEPT

    run(scenario)


def test_wrong_tokens_at_once_are_few_at_the_api_and_do_not_delay_who_is_known(api: Api) -> None:
    async def scenario() -> None:
        assert await api.who() == "a deployer"
        said: list[str] = []

        async def ask(number: int) -> None:
            said.append(await api.who(token("viewer", number)))

        async with anyio.create_task_group() as group:
            for number in range(MOST_WAITING + 20):
                group.start_soon(ask, number)
            await anyio.sleep(0.005)
            assert len(api.asked) <= 1 + authentication.AT_ONCE
            api.now += FRESH_SECONDS
            with anyio.fail_after(0.1):
                assert await api.who() == "a deployer"
        assert said.count("Unverified") == 20
        assert said.count("Unauthenticated") == MOST_WAITING

    run(scenario)


def test_tokens_themselves_are_not_kept(api: Api) -> None:
    async def scenario() -> None:
        await api.who()
        await api.who(token("viewer", 7))
        kept = vars(api.authenticator)
        shown = repr([vars(kept["_accepted"]), vars(kept["_rejected"]), kept["_asking"]])
        assert TOKEN not in shown
        assert token("viewer", 7) not in shown
        assert "a deployer" in shown

    run(scenario)


def test_a_visitor_is_shown_without_the_token() -> None:
    visitor = authentication.Visitor(Me.model_validate(me("viewer")), TOKEN)
    assert TOKEN not in repr(visitor)
