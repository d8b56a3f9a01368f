"""What is desired of deployments: created, changed, rolled back, stopped, deleted, and every change kept."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from serving_runtime.contracts import RUNTIMES
from tests.metadata_api.conftest import row_counts
from tests.metadata_api.making import LABELS, make_experiment, make_version

URL = "/v1/deployments"
ASKED = {"create", "change", "rollback", "stop", "start", "delete"}


@pytest.fixture
def digits(engine: Engine, clean: None) -> None:
    """An experiment with three versions."""
    make_experiment(engine)
    for number in (1, 2, 3):
        make_version(engine, number)


@pytest.fixture
def deployed(api: httpx.Client, digits: None) -> dict[str, Any]:
    """Version 1 of it, deployed under its name."""
    return dict(api.post(URL, json={"experiment": "digits", "version": 1}).raise_for_status().json())


def asked(api: httpx.Client, name: str = "digits") -> list[tuple[str, int]]:
    """Kind and version of what was asked for, newest first; what was seen is left out."""
    events = api.get(f"{URL}/{name}").json()["events"]
    return [(event["kind"], event["version"]) for event in events if event["kind"] in ASKED]


def failure(answer: httpx.Response) -> tuple[int, str]:
    assert answer.json()["detail"]
    return answer.status_code, answer.json()["error"]


class TestCreate:
    """POST /v1/deployments."""

    def test_takes_the_experiments_name_and_latest_version(self, api: httpx.Client, digits: None) -> None:
        answer = api.post(URL, json={"experiment": "digits"})
        assert answer.status_code == 201
        made = answer.json()
        assert (made["name"], made["version"], made["previous_version"]) == ("digits", 3, None)
        assert (made["desired"], made["observed"]["state"], made["ready"]) == ("running", "pending", False)
        assert (made["labels"], made["runtime"], made["replicas"]) == (LABELS, "torchserve", 1)
        assert made["url"] == "http://127.0.0.1:9/v2/models/digits"
        assert asked(api) == [("create", 3)]

    def test_a_name_that_is_taken_is_a_409(self, api: httpx.Client, deployed: dict[str, Any]) -> None:
        assert failure(api.post(URL, json={"experiment": "digits"})) == (409, "deployment_exists")

    def test_of_several_at_once_one_wins(self, api: httpx.Client, digits: None) -> None:
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: api.post(URL, json={"experiment": "digits"}), range(6)))
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
        assert asked(api) == [("create", 3)]

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"experiment": "unknown"}, 404, "experiment_unknown"),
            ({"experiment": "digits", "version": 9}, 404, "version_unknown"),
            ({"experiment": "empty"}, 404, "version_unknown"),
            ({"experiment": "digits", "name": "../etc"}, 422, "invalid_request"),
            ({"experiment": "digits", "runtime": "magic"}, 422, "invalid_request"),
            ({"experiment": "digits", "replicas": 0}, 422, "invalid_request"),
            ({"experiment": "digits", "replicas": 101}, 422, "invalid_request"),
            ({"experiment": "digits", "version": 2**31}, 422, "invalid_request"),
            ({"experiment": "digits", "color": "red"}, 422, "invalid_request"),
            ({"experiment": "digits", "resources": {"cpu": "fast"}}, 422, "invalid_request"),
            ({"experiment": "digits", "resources": {"cpu": 2}}, 422, "invalid_request"),
            ({"experiment": "digits", "resources": {"memory": "1GB"}}, 422, "invalid_request"),
            ({"experiment": "digits", "resources": {"gpu": "1"}}, 422, "invalid_request"),
        ],
    )
    def test_what_cannot_be_desired_is_rejected_and_leaves_nothing(
        self, api: httpx.Client, digits: None, engine: Engine, body: dict[str, Any], status: int, code: str
    ) -> None:
        make_experiment(engine, "empty")

        def written() -> dict[str, int]:
            # The maintenance writes down the bytes of versions that were made by hand, whenever it comes by.
            return {table: count for table, count in row_counts(engine).items() if table != "stored_objects"}

        before = written()
        assert failure(api.post(URL, json=body)) == (status, code)
        assert written() == before


class TestChange:
    """PATCH, rollback."""

    def test_wants_the_new_version_and_remembers_the_old(
        self, api: httpx.Client, deployed: dict[str, Any]
    ) -> None:
        changed = api.patch(f"{URL}/digits", json={"version": 3}).json()
        assert (changed["version"], changed["previous_version"]) == (3, 1)
        assert changed["updated_at"] > deployed["updated_at"]
        assert asked(api) == [("change", 3), ("create", 1)]

    def test_to_the_same_version_changes_nothing(self, api: httpx.Client, deployed: dict[str, Any]) -> None:
        assert api.patch(f"{URL}/digits", json={"version": 1}).json()["previous_version"] is None
        assert asked(api) == [("create", 1)]

    def test_to_a_version_that_is_not_there_is_a_404(
        self, api: httpx.Client, deployed: dict[str, Any]
    ) -> None:
        assert failure(api.patch(f"{URL}/digits", json={"version": 4})) == (404, "version_unknown")

    def test_of_runtime_and_replicas_alone_keeps_the_version(
        self, api: httpx.Client, deployed: dict[str, Any]
    ) -> None:
        changed = api.patch(f"{URL}/digits", json={"runtime": "native", "replicas": 3}).json()
        assert (changed["runtime"], changed["replicas"], changed["version"]) == ("native", 3, 1)
        assert changed["previous_version"] is None
        said = api.get(f"{URL}/digits").json()["events"]
        [event] = [event for event in said if event["kind"] == "change"]
        assert event["detail"] == "from runtime torchserve to native, from 1 to 3 replicas"

    @pytest.mark.parametrize(
        "body", [{}, {"version": None}, {"runtime": "magic"}, {"replicas": 0}, {"version": 1, "name": "b"}]
    )
    def test_to_nothing_or_to_what_is_not_there_is_refused(
        self, api: httpx.Client, deployed: dict[str, Any], body: dict[str, Any]
    ) -> None:
        assert failure(api.patch(f"{URL}/digits", json=body)) == (422, "invalid_request")
        assert asked(api) == [("create", 1)]

    def test_back_and_forth(self, api: httpx.Client, deployed: dict[str, Any]) -> None:
        api.patch(f"{URL}/digits", json={"version": 2})
        back = api.post(f"{URL}/digits/rollback").json()
        assert (back["version"], back["previous_version"]) == (1, 2)
        assert api.post(f"{URL}/digits/rollback").json()["version"] == 2
        assert asked(api) == [("rollback", 2), ("rollback", 1), ("change", 2), ("create", 1)]

    def test_back_to_nothing_is_a_409(self, api: httpx.Client, deployed: dict[str, Any]) -> None:
        assert failure(api.post(f"{URL}/digits/rollback")) == (409, "no_previous_version")

    def test_changes_at_once_are_all_kept_in_order(self, api: httpx.Client, deployed: dict[str, Any]) -> None:
        def change(version: int) -> int:
            return api.patch(f"{URL}/digits", json={"version": version}).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(change, [2, 3] * 6)) == {200}
        now = api.get(f"{URL}/digits").json()
        kept = asked(api)
        assert (kept[0][1], kept[1][1]) == (now["version"], now["previous_version"])
        assert all(one[1] != two[1] for one, two in zip(kept, kept[1:], strict=False))


class TestResources:
    """CPU and memory of each pod, which one machine keeps without effect."""

    def test_without_any_it_is_the_installations_default(
        self, api: httpx.Client, deployed: dict[str, Any]
    ) -> None:
        assert deployed["resources"] is None

    @pytest.mark.parametrize("given", [None, {}, {"cpu": None, "memory": None}])
    def test_nothing_of_its_own_is_the_default_too(
        self, api: httpx.Client, digits: None, given: dict[str, Any] | None
    ) -> None:
        made = api.post(URL, json={"experiment": "digits", "resources": given}).json()
        assert made["resources"] is None

    def test_they_are_kept_and_changed_as_a_whole(self, api: httpx.Client, digits: None) -> None:
        wish = {"experiment": "digits", "resources": {"cpu": "500m", "memory": "1Gi"}}
        assert api.post(URL, json=wish).json()["resources"] == {"cpu": "500m", "memory": "1Gi"}
        changed = api.patch(f"{URL}/digits", json={"resources": {"memory": "2Gi"}}).json()
        assert changed["resources"] == {"cpu": None, "memory": "2Gi"}
        assert api.patch(f"{URL}/digits", json={"replicas": 2}).json()["resources"] == changed["resources"]
        assert api.patch(f"{URL}/digits", json={"resources": None}).json()["resources"] is None
        details = [
            one["detail"] for one in api.get(f"{URL}/digits").json()["events"] if one["kind"] == "change"
        ]
        assert details == [
            "from memory 2Gi to the default resources",
            "from 1 to 2 replicas",
            "from cpu 500m and memory 1Gi to memory 2Gi",
        ]

    @pytest.mark.parametrize(
        ("resources", "said"),
        [
            ({"cpu": "9m"}, "resources.cpu: Value error, must be from 10m to 256"),
            ({"cpu": "257"}, "resources.cpu: Value error, must be from 10m to 256"),
            ({"memory": "63Mi"}, "resources.memory: Value error, must be from 64Mi to 4Ti"),
            ({"memory": "5T"}, "resources.memory: Value error, must be from 64Mi to 4Ti"),
            ({"memory": "much"}, "resources.memory: String should match pattern"),
        ],
    )
    def test_what_no_pod_could_have_is_named(
        self, api: httpx.Client, deployed: dict[str, Any], resources: dict[str, str], said: str
    ) -> None:
        answer = api.patch(f"{URL}/digits", json={"resources": resources})
        assert failure(answer) == (422, "invalid_request")
        assert said in answer.json()["detail"]
        assert asked(api) == [("create", 1)]

    @pytest.mark.parametrize(
        "resources",
        [
            {"cpu": "10m"},
            {"cpu": "0.5"},
            {"cpu": "256"},
            {"memory": "64Mi"},
            {"memory": "4Ti"},
            {"memory": "1500M"},
        ],
        ids=lambda given: " ".join(next(iter(given.items()))),
    )
    def test_every_form_of_a_quantity_is_kept_as_it_was_given(
        self, api: httpx.Client, digits: None, resources: dict[str, str]
    ) -> None:
        made = api.post(URL, json={"experiment": "digits", "resources": resources}).json()
        assert made["resources"] == {"cpu": None, "memory": None, **resources}


class TestTimeouts:
    """How long a model may load, and how long it may answer."""

    def test_without_any_they_are_the_installations_defaults(
        self, api: httpx.Client, deployed: dict[str, Any]
    ) -> None:
        assert (deployed["startup_seconds"], deployed["response_seconds"]) == (None, None)

    def test_they_are_kept_and_changed_one_by_one(self, api: httpx.Client, digits: None) -> None:
        def timeouts(answer: httpx.Response) -> tuple[int | None, int | None]:
            return answer.json()["startup_seconds"], answer.json()["response_seconds"]

        wish = {"experiment": "digits", "startup_seconds": 600, "response_seconds": 60}
        assert timeouts(api.post(URL, json=wish)) == (600, 60)
        assert timeouts(api.patch(f"{URL}/digits", json={"response_seconds": 30})) == (600, 30)
        assert timeouts(api.patch(f"{URL}/digits", json={"replicas": 2})) == (600, 30)
        assert timeouts(api.patch(f"{URL}/digits", json={"startup_seconds": None})) == (None, 30)
        details = [
            one["detail"] for one in api.get(f"{URL}/digits").json()["events"] if one["kind"] == "change"
        ]
        assert details[0] == "startup_seconds from 600 to the default"
        assert details[2] == "response_seconds from 60 to 30"

    def test_batches_are_kept_and_changed_one_by_one(self, api: httpx.Client, digits: None) -> None:
        def batches(answer: httpx.Response) -> tuple[int | None, int | None]:
            return answer.json()["batch_size"], answer.json()["batch_delay_ms"]

        assert batches(api.post(URL, json={"experiment": "digits", "batch_size": 8})) == (8, None)
        assert batches(api.patch(f"{URL}/digits", json={"batch_delay_ms": 0})) == (8, 0)
        assert batches(api.patch(f"{URL}/digits", json={"batch_size": None})) == (None, 0)
        details = [
            one["detail"] for one in api.get(f"{URL}/digits").json()["events"] if one["kind"] == "change"
        ]
        assert details == ["batch_size from 8 to the default", "batch_delay_ms from the default to 0"]

    @pytest.mark.parametrize(
        "given",
        [
            {"startup_seconds": 4},
            {"startup_seconds": 3601},
            {"response_seconds": 0},
            {"response_seconds": 601},
            {"batch_size": 0},
            {"batch_size": 1025},
            {"batch_delay_ms": -1},
            {"batch_delay_ms": 60_001},
        ],
        ids=str,
    )
    def test_there_are_bounds(
        self, api: httpx.Client, deployed: dict[str, Any], given: dict[str, int]
    ) -> None:
        assert failure(api.patch(f"{URL}/digits", json=given)) == (422, "invalid_request")


class TestUnchangedSince:
    """What was meant for a deployment as it was seen does not override what somebody has changed since."""

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("PATCH", "", {"version": 3}),
            ("POST", "/rollback", None),
            ("POST", "/stop", None),
            ("POST", "/start", None),
            ("DELETE", "", None),
        ],
    )
    def test_after_a_change_it_is_a_409_that_says_who_changed_what(
        self, api: httpx.Client, deployed: dict[str, Any], method: str, path: str, body: dict[str, int] | None
    ) -> None:
        seen = {"unchanged_since": deployed["updated_at"]}
        moved = api.patch(f"{URL}/digits", json={"version": 2}, params=seen).raise_for_status().json()
        answer = api.request(method, f"{URL}/digits{path}", json=body, params=seen)
        assert failure(answer) == (409, "deployment_changed")
        assert "anonymous changed deployment digits at" in answer.json()["detail"]
        assert "change, from version 1." in answer.json()["detail"]
        assert asked(api) == [("change", 2), ("create", 1)]
        seen = {"unchanged_since": moved["updated_at"]}
        assert api.request(method, f"{URL}/digits{path}", json=body, params=seen).is_success

    def test_a_time_without_a_zone_is_no_time(self, api: httpx.Client, deployed: dict[str, Any]) -> None:
        seen = {"unchanged_since": deployed["updated_at"][:19]}
        assert api.post(f"{URL}/digits/stop", params=seen).status_code == 422
        assert asked(api) == [("create", 1)]


class TestStopAndDelete:
    """What is not desired any more."""

    def test_a_stopped_deployment_stays_and_starts_again(
        self, api: httpx.Client, deployed: dict[str, Any]
    ) -> None:
        assert api.post(f"{URL}/digits/stop").json()["desired"] == "stopped"
        assert api.post(f"{URL}/digits/stop").status_code == 200
        assert api.post(f"{URL}/digits/start").json()["desired"] == "running"
        assert asked(api) == [("start", 1), ("stop", 1), ("create", 1)]

    def test_a_deleted_deployment_is_gone_and_its_events_stay(
        self, api: httpx.Client, deployed: dict[str, Any], engine: Engine
    ) -> None:
        answer = api.delete(f"{URL}/digits")
        assert (answer.status_code, answer.content) == (204, b"")
        assert failure(api.get(f"{URL}/digits")) == (404, "deployment_unknown")
        with engine.connect() as connection:
            kinds = connection.scalars(text("select kind from deployment_events order by id")).all()
        assert [kind for kind in kinds if kind in ASKED] == ["create", "delete"]

    @pytest.mark.parametrize(
        ("method", "path"),
        [("get", ""), ("delete", ""), ("post", "/stop"), ("post", "/start"), ("post", "/rollback")],
    )
    def test_there_is_none_of_this_name(self, api: httpx.Client, method: str, path: str) -> None:
        assert failure(api.request(method, f"{URL}/unknown{path}")) == (404, "deployment_unknown")


def test_deployments_are_listed_by_name_page_by_page(api: httpx.Client, digits: None) -> None:
    for name in ("b", "c", "a"):
        api.post(URL, json={"experiment": "digits", "name": name})
    first = api.get(URL, params={"limit": 2}).json()
    assert ([item["name"] for item in first["items"]], first["total"]) == (["a", "b"], 3)
    assert first["runtimes"] == list(RUNTIMES)
    second = api.get(URL, params={"limit": 2, "cursor": first["next"]}).json()
    assert ([item["name"] for item in second["items"]], second["next"]) == (["c"], None)
