"""Replays: stored inputs through chosen deployments in the background, with a report that names what gets worse."""

import io
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from PIL import Image
from sqlalchemy import Engine, text
from sqlalchemy.orm import sessionmaker

from metadata_api import alias_changes
from metadata_api.app import create_app
from metadata_api.database.session import Base, Sessions
from metadata_api.evidence import policies, replay_reports
from metadata_api.schemas.aliases import AliasTarget
from metadata_api.schemas.policies import Policy
from metadata_api.schemas.predictions import Result
from tests.metadata_api.evidence import duelling
from tests.metadata_api.making import LABELS, make_deployment, open_settings
from tests.metadata_api.servers import Behaviour, Reply, V2Server, answers, hangs, running, says
from tests.waiting import until

URL = "/v1/replays"
NAMES = ["old", "new", "third", "fourth"]


@pytest.fixture(scope="module")
def address(own_engine: Engine, serving: V2Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("replays")
    settings = open_settings(own_engine, folder, serving.url)
    with running(create_app(settings)) as address:
        yield address


@pytest.fixture
def api(address: str, own_engine: Engine, serving: V2Server) -> Iterator[httpx.Client]:
    """Four deployments; each says the digit that an image shows by its shade, unless a test says otherwise."""
    with own_engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
    for name in NAMES:
        make_deployment(own_engine, name)
        serving.models[name] = answers("5")
    with own_engine.begin() as connection:
        connection.execute(text("update model_versions set task = 'digits'"))
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client


@pytest.fixture
def rows(own_engine: Engine) -> Sessions:
    return sessionmaker(own_engine, expire_on_commit=False)


def ask(api: httpx.Client, number: int) -> str:
    """Store an input of its own for each number by asking `old` about it; its sha256."""
    file = io.BytesIO()
    Image.new("L", (28 + number // 256, 28), number % 256).save(file, "PNG")
    files = {"image": ("a.png", file.getvalue())}
    answer = api.post("/v1/predictions", files=files, data={"deployments": "old"})
    return str(answer.raise_for_status().json()["input"]["sha256"])


def ended(api: httpx.Client, number: int, seconds: float = 30) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def is_over() -> bool:
        found.update(api.get(f"{URL}/{number}").raise_for_status().json())
        return found["state"] not in ("waiting", "running")

    until(is_over, lambda: f"replay {number} ends, it is {found}", seconds)
    return found


def test_it_asks_all_about_stored_inputs_and_records_the_answers(
    api: httpx.Client, serving: V2Server, rows: Sessions
) -> None:
    shas = [ask(api, shade) for shade in range(6)]
    serving.models["new"] = answers("3")
    with rows.begin() as session:
        for sha256 in shas[:2]:
            duelling.label(session, sha256, "5")
        duelling.label(session, shas[2], "3")
    made = api.post(URL, json={"deployments": ["old", "new"]})
    assert (made.status_code, made.json()["inputs"]) == (202, 6)
    done = ended(api, made.json()["id"])
    assert (done["state"], done["done"]) == ("done", 6)
    old, new = done["report"]["versions"]
    assert (old["answered"], old["labelled"], old["right"], new["right"]) == (6, 3, 2, 1)
    assert 0 < old["p50_ms"] <= old["p95_ms"]
    [pair] = done["report"]["against_first"]
    assert (pair["inputs"], pair["flips"], pair["worse"], pair["better"]) == (6, 6, 2, 1)
    assert [flip["input_sha256"] for flip in pair["examples"][:2]] == sorted(shas[:2])
    recorded = api.get("/v1/predictions", params={"deployment": "new"}).json()
    assert recorded["total"] == 6


def test_a_class_that_was_planted_to_be_bad_comes_first() -> None:
    answers_by_input: dict[str, list[Result]] = {}
    truths: dict[tuple[str, str], str | float] = {}
    for number in range(400):
        truth = LABELS[number % 10]
        sha256 = f"{number:064x}"
        truths[sha256, "digits"] = truth
        bad = "9" if truth == "4" else truth
        stumbles = "0" if number % 97 == 1 else bad
        answers_by_input[sha256] = [_said("old", truth), _said("new", stumbles)]
    made = replay_reports.report(["old", "new"], answers_by_input, truths)
    [pair] = made.against_first
    assert (pair.classes[0].label, pair.classes[0].worse) == ("4", 40)
    assert pair.worse == 40 + sum(1 for n in range(400) if n % 97 == 1 and n % 10 not in (0, 4))
    unlabelled = replay_reports.report(["old", "new"], answers_by_input, {})
    assert unlabelled.against_first[0].classes[0].label == "4"


def test_of_numbers_the_nearer_one_is_better() -> None:
    said = {"a": (10.0, 12.0), "b": (10.0, 18.0), "c": (11.0, 13.0), "d": (10.0, 10.0000001), "e": (1.0, 2.0)}
    given = {
        name: [_said("old", None, first), _said("new", None, other)] for name, (first, other) in said.items()
    }
    truths = {(name, "digits"): truth for name, truth in {"a": 12.0, "b": 11.0, "c": 12.0, "d": 9.0}.items()}
    made = replay_reports.report(["old", "new"], given, truths)
    [pair] = made.against_first
    assert {flip.input_sha256: (flip.verdict, flip.truth) for flip in pair.examples} == {
        "a": ("better", "12"),
        "b": ("worse", "11"),
        "c": ("neither", "12"),
        "e": ("unknown", None),
    }
    assert (pair.flips, pair.worse, pair.better, pair.classes) == (4, 1, 1, [])
    assert [one.labelled for one in made.versions] == [0, 0]


def test_a_label_for_another_task_says_nothing() -> None:
    given = {"a": [_said("old", "5"), _said("new", "3")]}
    truths = {("a", "parity"): "3", ("a", "digits"): "5"}
    made = replay_reports.report(["old", "new"], given, truths)
    assert made.against_first[0].worse == 1


def test_a_flip_says_what_was_asked_and_outlives_its_input(api: httpx.Client, serving: V2Server) -> None:
    sha256 = ask(api, 1)
    serving.models["new"] = answers("3")
    number = api.post(URL, json={"deployments": ["old", "new"]}).json()["id"]
    [flip] = ended(api, number)["report"]["against_first"][0]["examples"]
    assert (flip["input"]["kind"], flip["input"]["summary"]) == ("image", {"width": 28, "height": 28})
    api.delete(f"/v1/inputs/{sha256}", params={"cascade": True}).raise_for_status()
    [flip] = api.get(f"{URL}/{number}").json()["report"]["against_first"][0]["examples"]
    assert (flip["input_sha256"], flip["input"]) == (sha256, None)


def test_a_model_that_fails_is_counted_and_the_others_answer(api: httpx.Client, serving: V2Server) -> None:
    async def fails(request: dict[str, Any]) -> Reply:
        return 500, b'{"error": "broken"}'

    shas = [ask(api, 1), ask(api, 2)]
    serving.models["new"] = fails
    made = api.post(URL, json={"deployments": ["old", "new"], "inputs": shas}).json()
    report = ended(api, made["id"])["report"]
    assert [(one["answered"], one["errors"]) for one in report["versions"]] == [(2, 0), (0, 2)]
    assert report["against_first"][0]["inputs"] == 0


def test_a_version_whose_answers_fit_nothing_has_not_been_replayed(
    api: httpx.Client, serving: V2Server, rows: Sessions
) -> None:
    with rows.begin() as session:
        alias_changes.put(session, "champion", AliasTarget(deployment="old"), (), "ada")
        policies.put(session, "champion", Policy(replay=True), "ada")
    sha256 = ask(api, 1)

    def rule(new: Behaviour) -> dict[str, Any]:
        serving.models["new"] = new
        made = api.post(URL, json={"deployments": ["old", "new"], "inputs": [sha256]}).json()
        assert ended(api, made["id"])["state"] == "done"
        standing = api.get("/v1/aliases/champion/evidence", params={"candidate": "new"}).json()
        return next(one for one in standing["rules"] if one["rule"] == "replay")

    bad = rule(says(b'{"model_name": "new", "model_version": "1", "outputs": []}'))
    assert (bad["passed"], "No replay has answers of both" in bad["detail"]) == (False, True)
    assert rule(answers("3"))["passed"]


def test_one_is_cancelled_and_the_next_runs(api: httpx.Client, serving: V2Server) -> None:
    sha256 = ask(api, 1)
    serving.models["new"] = hangs()
    first = api.post(URL, json={"deployments": ["new"], "inputs": [sha256]}).json()["id"]
    until(lambda: api.get(f"{URL}/{first}").json()["state"] == "running", "the first runs")
    second = api.post(URL, json={"deployments": ["old"], "inputs": [sha256]}).json()["id"]
    assert api.get(f"{URL}/{second}").json()["state"] == "waiting"
    assert api.delete(f"{URL}/{first}").json()["state"] == "cancelled"
    assert ended(api, second)["state"] == "done"
    assert api.delete(f"{URL}/{first}").json()["state"] == "cancelled"
    assert [one["id"] for one in api.get(URL).json()["items"]] == [second, first]


def test_of_a_process_that_ended_it_is_failed(api: httpx.Client, own_engine: Engine) -> None:
    ask(api, 1)
    number = api.post(URL, json={"deployments": ["old"]}).json()["id"]
    ended(api, number)
    with own_engine.begin() as connection:
        lost = "update replays set state = 'running', seen_at = now() - interval '1 minute', ended_at = null"
        connection.execute(text(lost))
    found = api.get(f"{URL}/{number}").json()
    assert (found["state"], "restarted" in found["reason"]) == ("failed", True)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"deployments": ["nobody"]}, 404, "deployment_unknown"),
        ({"deployments": ["old"], "inputs": ["0" * 64]}, 404, "input_unknown"),
        ({"deployments": ["old"]}, 409, "nothing_to_replay"),
        ({"deployments": []}, 422, "invalid_request"),
        ({"deployments": ["old"], "limit": 1001}, 422, "invalid_request"),
    ],
)
def test_what_cannot_be_replayed_is_rejected(
    api: httpx.Client, body: dict[str, Any], status: int, code: str
) -> None:
    answer = api.post(URL, json=body)
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert api.get(URL).json()["items"] == []


@pytest.mark.long
def test_five_hundred_inputs_over_four_versions(api: httpx.Client) -> None:
    for number in range(500):
        ask(api, number)
    began = time.monotonic()
    done = ended(api, api.post(URL, json={"deployments": NAMES, "limit": 500}).json()["id"], 60)
    took = time.monotonic() - began
    assert (done["done"], len(done["report"]["versions"])) == (500, 4)
    print(f"500 inputs over 4 versions: {took:.1f} s")
    assert took <= 10.0


def _said(deployment: str, label: str | None, number: float | None = None) -> Result:
    return Result(
        prediction_id=UUID(int=0),
        task="digits",
        deployment=deployment,
        alias=None,
        experiment=deployment,
        version=1,
        status="ok",
        kind="probabilities",
        label=label,
        number=number,
        latency_ms=3.0,
        error=None,
        cold=False,
        preprocessed=None,
        warning=None,
    )
