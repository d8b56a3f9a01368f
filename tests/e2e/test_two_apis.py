"""Two pods of the API over one database: aliases, labels and promotions are the same in both, whoever is asked."""

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest

from serving_runtime.contracts import EVENT_OF_REQUEST, EVENT_OF_RESPONSE
from tests.e2e import cluster
from tests.e2e.cluster import HOST, NAMESPACE, RELEASE, ROOT, kubectl, objects, outside, wait_for, wait_ready

API = f"deployment/{RELEASE}-metadata-api"
PODS = ("pods", "-l", "app.kubernetes.io/component=metadata-api")
ALIAS, OLD, NEW = "two-apis", "cnn-baseline", "mlp-helm"
# How soon a pod knows what another one has changed.
KNOWN_SECONDS = 10
Both = tuple[httpx.Client, httpx.Client]


@contextmanager
def forwarded(pod: str) -> Iterator[httpx.Client]:
    """A client of one pod, whatever the Service does."""
    words = ("kubectl", "--namespace", NAMESPACE, "port-forward", f"pod/{pod}", ":8000")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            assert found, line
            headers = {"Host": HOST, "Authorization": f"Bearer {cluster.admin_token()}"}
            address = f"http://127.0.0.1:{found[1]}"
            with httpx.Client(base_url=address, timeout=30, trust_env=False, headers=headers) as client:
                yield client
        finally:
            process.terminate()


def ready_pods() -> list[str]:
    """Names of the pods of the API that are ready and stay."""
    return [
        pod["metadata"]["name"]
        for pod in objects(*PODS)
        if "deletionTimestamp" not in pod["metadata"]
        and any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"]["conditions"])
    ]


@pytest.fixture(scope="module")
def both(release: str) -> Iterator[Both]:
    """A client of each of two pods, which share the volume of the cluster's only node; `ALIAS` points at `OLD`."""
    for name in (OLD, NEW):
        wait_ready(name)
    kubectl("scale", API, "--replicas=2")
    try:
        wait_for("two pods of the API", lambda: len(ready_pods()) == 2)
        with ExitStack() as stack:
            first, second = (stack.enter_context(forwarded(pod)) for pod in ready_pods())
            first.put(f"/v1/aliases/{ALIAS}", json={"deployment": OLD}).raise_for_status()
            for client in (first, second):
                answers_otherwise(client, "nobody")
            try:
                yield first, second
            finally:
                first.delete(f"/v1/aliases/{ALIAS}")
    finally:
        kubectl("scale", API, "--replicas=1")
        wait_for("one pod of the API", lambda: len(ready_pods()) == 1)
        with outside() as client:
            wait_for("the API answers", lambda: client.get("/v1/deployments").status_code == 200)


def ask(client: httpx.Client) -> str:
    """Which deployment answers for the alias."""
    body = (ROOT / "models" / "examples" / "five.json").read_bytes()
    answer = client.post(f"/v2/models/{ALIAS}/infer", content=body)
    assert answer.status_code == 200, f"{answer.status_code} {answer.text[:300]}"
    return str(answer.json()["model_name"])


def answers_otherwise(client: httpx.Client, before: str) -> str:
    """Who answers for the alias as soon as a pod knows that it is somebody else."""

    def look() -> str | None:
        found = ask(client)
        return found if found != before else None

    return wait_for("the pod knows where the alias leads", look, KNOWN_SECONDS)


def stored(client: httpx.Client) -> str:
    """An image that both deployments were asked about; its sha256."""
    image = (ROOT / "ui" / "model_ui" / "examples" / "digit-5.png").read_bytes()
    answer = client.post(
        "/v1/predictions", files={"image": ("5.png", image, "image/png")}, data={"deployments": [OLD, NEW]}
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["input"]["sha256"])


def test_an_alias_that_one_moves_is_followed_by_the_other(both: Both) -> None:
    first, second = both
    before = ask(first)
    assert ask(second) == before
    for mover, other, target in ((first, second, NEW), (second, first, OLD), (first, second, NEW)):
        mover.put(f"/v1/aliases/{ALIAS}", json={"deployment": target}).raise_for_status()
        assert other.get(f"/v1/aliases/{ALIAS}").json()["deployment"] == target
        [before] = {answers_otherwise(client, before) for client in (other, mover)}


def test_moves_by_both_at_once_are_one_history(both: Both) -> None:
    def move(number: int) -> int:
        target = (OLD, NEW)[number // 2 % 2]
        body = {"deployment": target, "reason": f"move {number}"}
        return both[number % 2].put(f"/v1/aliases/{ALIAS}", json=body).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(move, range(24))) == {200}
    histories = [client.get(f"/v1/aliases/{ALIAS}/events", params={"limit": 200}).json() for client in both]
    assert histories[0] == histories[1]
    events = [event for event in histories[0]["items"] if event["reason"].startswith("move ")]
    # Where it pointed already it was left as it was: each change leads elsewhere.
    assert all(newer["deployment"] != older["deployment"] for newer, older in pairwise(events))
    assert both[0].get(f"/v1/aliases/{ALIAS}").json()["deployment"] == events[0]["deployment"]


def test_labels_said_to_both_at_once_are_one_history(both: Both) -> None:
    first, second = both
    sha256 = stored(first)
    task = second.get(f"/v1/deployments/{OLD}").json()["task"]
    url = f"/v1/inputs/{sha256}/labels"

    def label(number: int) -> int:
        return both[number % 2].post(url, json={"task": task, "label": str(number % 10)}).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(label, range(20))) <= {200, 201}
    said: list[dict[str, Any]] = second.get(url, params={"limit": 200}).json()["items"]
    assert said == first.get(url, params={"limit": 200}).json()["items"]
    assert [one["current"] for one in said] == [True] + [False] * (len(said) - 1)
    assert all(newer["supersedes"] == older["id"] for newer, older in pairwise(said))


def test_of_two_promotions_at_once_one_moves_and_the_policy_of_one_holds_for_the_other(both: Both) -> None:
    first, second = both
    first.put(f"/v1/aliases/{ALIAS}", json={"deployment": OLD}).raise_for_status()
    first.put(f"/v1/aliases/{ALIAS}/policy", json={"min_labels": 500}).raise_for_status()
    refused = second.post(f"/v1/aliases/{ALIAS}/promote", json={"candidate": NEW})
    assert (refused.status_code, refused.json()["error"]) == (409, "promotion_refused")
    assert "of 500 labelled inputs" in refused.json()["detail"]

    def force(client: httpx.Client) -> tuple[int, str]:
        body = {"candidate": NEW, "force": True, "reason": "both at once"}
        answer = client.post(f"/v1/aliases/{ALIAS}/promote", json=body)
        return answer.status_code, str(answer.json().get("error", ""))

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(force, both)) == [(200, ""), (409, "already_champion")]
    events = second.get(f"/v1/aliases/{ALIAS}/events").json()["items"]
    assert [event["kind"] for event in events[:2]].count("promote") == 1
    assert events[0]["evidence"]["forced"] is True


def test_a_roll_back_by_one_while_the_other_promotes_is_one_history(both: Both) -> None:
    first, second = both
    first.put(f"/v1/aliases/{ALIAS}", json={"deployment": OLD}).raise_for_status()
    first.put(f"/v1/aliases/{ALIAS}", json={"deployment": NEW}).raise_for_status()

    def roll_back(client: httpx.Client) -> tuple[int, str]:
        answer = client.post(f"/v1/aliases/{ALIAS}/rollback", params={"wait_seconds": 10})
        return answer.status_code, str(answer.json().get("error", ""))

    def promote(client: httpx.Client) -> tuple[int, str]:
        body = {"candidate": NEW, "force": True, "reason": "while it is rolled back"}
        answer = client.post(f"/v1/aliases/{ALIAS}/promote", json=body)
        return answer.status_code, str(answer.json().get("error", ""))

    with ThreadPoolExecutor(2) as pool:
        for number in range(6):
            one, other = (first, second) if number % 2 else (second, first)
            back, forth = pool.submit(roll_back, one), pool.submit(promote, other)
            # Whoever comes second finds what the first one did, and says so.
            assert back.result() in {(200, ""), (409, "alias_changed"), (409, "deployment_changed")}
            assert forth.result() in {(200, ""), (409, "already_champion")}
    histories = [client.get(f"/v1/aliases/{ALIAS}/events", params={"limit": 200}).json() for client in both]
    assert histories[0] == histories[1]
    events = histories[0]["items"]
    assert all(newer["deployment"] != older["deployment"] for newer, older in pairwise(events))
    assert all(newer["at"] >= older["at"] for newer, older in pairwise(events))
    targets = {client.get(f"/v1/aliases/{ALIAS}").json()["deployment"] for client in both}
    assert targets == {events[0]["deployment"]}


def test_a_call_whose_halves_go_to_both_is_recorded_once(both: Both) -> None:
    first, second = both
    url = f"/v1/deployments/{OLD}"
    asked = (ROOT / "models" / "examples" / "five.json").read_bytes()
    answered = first.post(f"/v2/models/{OLD}/infer", content=asked).raise_for_status().content
    address = urlsplit(first.get(f"{url}/recording-address").raise_for_status().json()["url"]).path

    def send(client: httpx.Client, identity: UUID, kind: str, body: bytes) -> int:
        """As KServe's agent does."""
        headers = {
            "Ce-Specversion": "1.0",
            "Ce-Id": str(identity),
            "Ce-Type": kind,
            "Ce-Source": "two-apis",
            "Content-Type": "application/json",
        }
        return client.post(address, content=body, headers=headers).status_code

    first.patch(url, json={"recording": {"rate": 0.001, "answers": True}}).raise_for_status()
    try:
        for client in both:
            wait_for(
                "the pod knows that it is recorded", partial(_is_recorded, client, address), KNOWN_SECONDS
            )
        ids = [uuid4() for _ in range(20)]
        halves = [
            (both[(at + is_answer) % 2], one, EVENT_OF_RESPONSE, answered)
            if is_answer
            else (both[at % 2], one, EVENT_OF_REQUEST, asked)
            for at, one in enumerate(ids)
            # Of every other call the answer comes first.
            for is_answer in ((False, True) if at % 4 < 2 else (True, False))
        ]
        # And of some both halves come to both.
        halves += [(both[at % 2], one, EVENT_OF_REQUEST, asked) for at, one in enumerate(ids[:8])]
        halves += [(both[at % 2], one, EVENT_OF_RESPONSE, answered) for at, one in enumerate(ids[:8])]
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda half: send(*half), halves)) == {202}
        for at, one in enumerate(ids):
            wait_for("it is recorded with its answer", partial(_answer, both[at % 2], one), 60)
        for one in ids:
            rows = second.get("/v1/predictions", params={"request_id": str(one)}).json()
            assert (rows["total"], rows["items"][0]["source"]) == (1, "v2")
    finally:
        first.patch(url, json={"recording": {"rate": 0}}).raise_for_status()


def _is_recorded(client: httpx.Client, address: str) -> bool | None:
    """Whether a pod takes events there: one that is none is rejected as such, and not for its address."""
    return client.post(address, content=b"{}").status_code == 400 or None


def _answer(client: httpx.Client, identity: UUID) -> str | None:
    found = client.get(f"/v1/predictions/{identity}")
    return str(found.json()["label"]) if found.status_code == 200 and found.json()["status"] == "ok" else None
