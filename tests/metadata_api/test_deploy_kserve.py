"""What is wanted becomes InferenceServices and routes, and what is seen of them comes back, through every outage."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import Engine, text

from metadata_api.app import create_app
from metadata_api.settings import Settings
from tests.conftest import free_port
from tests.metadata_api.fake_kubernetes import (
    INGRESS,
    ISVC,
    POD,
    ROUTE,
    FakeKubernetes,
    container,
    refusing,
    status_of,
)
from tests.metadata_api.making import make_experiment, make_version, own_database, url_of
from tests.metadata_api.servers import V2Server, running

URL = "/v1/deployments"
CONFIG: dict[str, Any] = {
    "release": "marina",
    "namespace": "models",
    "artifact_url": "http://marina-metadata-api.models.svc.cluster.local/artifacts",
    "expose": {"mode": "ingress", "host": "marina.example"},
}


@pytest.fixture(scope="module")
def engine(postgres_url: str) -> Iterator[Engine]:
    """A database of its own, so that no other application writes what it sees of these deployments."""
    with own_database(postgres_url) as engine:
        yield engine


@pytest.fixture
def kubernetes() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as kubernetes:
        yield kubernetes


@pytest.fixture
def settings(engine: Engine, clean: None, kubernetes: FakeKubernetes, tmp_path: Path) -> Settings:
    """An experiment with three versions, and the settings of an API on Kubernetes."""
    make_experiment(engine)
    for number in (1, 2, 3):
        make_version(engine, number)
    return kserve_settings(engine, kubernetes, tmp_path, CONFIG)


def kserve_settings(
    engine: Engine, kubernetes: FakeKubernetes, folder: Path, config: dict[str, Any]
) -> Settings:
    (folder / "kserve.yaml").write_text(yaml.safe_dump(config))
    return Settings(
        database_url=url_of(engine),
        store_dir=folder / "store",
        deployer="kserve",
        kserve_file=folder / "kserve.yaml",
        kubernetes_url=kubernetes.url,
        serving_url="http://{name}-predictor.models.svc.cluster.local",
        public_serving_url="http://marina.example",
    )


@pytest.fixture
def api(settings: Settings) -> Iterator[httpx.Client]:
    """A client of the API with its reconciler."""
    with running(create_app(settings)) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something that happens elsewhere."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it did not happen within {seconds} seconds"
        time.sleep(0.05)


def deploy(api: httpx.Client, version: int = 1, **more: Any) -> None:
    """Deploy and wait until it was seen ready."""
    answer = api.post(URL, json={"experiment": "digits", "version": version, **more})
    answer.raise_for_status()
    until(lambda: shown(api, answer.json()["name"])["ready"])


def shown(api: httpx.Client, name: str = "digits") -> dict[str, Any]:
    return dict(api.get(f"{URL}/{name}").json())


def seen(api: httpx.Client, name: str = "digits") -> tuple[str, int | None, str]:
    observed = shown(api, name)["observed"]
    return observed["state"], observed["version"], observed["reason"] or ""


class TestWriting:
    """From the database to the cluster."""

    def test_a_deployment_becomes_an_inference_service_and_a_route_that_it_owns(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        deploy(api)
        service = kubernetes.find(ISVC, "digits")
        model = service["spec"]["predictor"]["model"]
        assert model["storageUri"] == f"{CONFIG['artifact_url']}/digits/1/digits.mar"
        route = kubernetes.find(INGRESS, "digits-v2")
        [owner] = route["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("InferenceService", service["metadata"]["uid"])
        assert shown(api)["url"] == "http://marina.example/v2/models/digits"
        assert [kubernetes.written(kind) for kind in (ISVC, INGRESS)] == [["digits"], ["digits-v2"]]

    def test_a_change_rolls_out_and_a_rollback_rolls_back(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        deploy(api)
        api.patch(f"{URL}/digits", json={"version": 2}).raise_for_status()
        until(lambda: seen(api) == ("ready", 2, ""))
        assert "/2/digits.mar" in kubernetes.find(ISVC, "digits")["spec"]["predictor"]["model"]["storageUri"]
        api.post(f"{URL}/digits/rollback").raise_for_status()
        until(lambda: seen(api) == ("ready", 1, ""))

    def test_a_change_of_the_runtime_or_the_replicas_is_passed_on(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        deploy(api)
        api.patch(f"{URL}/digits", json={"runtime": "native", "replicas": 3}).raise_for_status()
        until(lambda: len(kubernetes.names(POD)) == 3 and shown(api)["ready"])
        predictor = kubernetes.find(ISVC, "digits")["spec"]["predictor"]
        assert (predictor["minReplicas"], predictor["model"]["runtime"]) == (3, "marina-native")
        assert (shown(api)["runtime"], shown(api)["replicas"]) == ("native", 3)

    def test_what_is_deleted_or_stopped_goes_with_its_route(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        deploy(api)
        deploy(api, name="second")
        api.delete(f"{URL}/digits").raise_for_status()
        api.post(f"{URL}/second/stop").raise_for_status()
        until(lambda: kubernetes.names(ISVC) == kubernetes.names(INGRESS) == [])
        until(lambda: seen(api, "second") == ("stopped", None, ""))

    def test_what_nobody_wants_is_deleted_only_if_it_is_ours(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        for name, manager, release in [
            ("orphan", "marina-metadata-api", "marina"),
            ("helms", "Helm", "marina"),
            ("neighbours", "marina-metadata-api", "other"),
        ]:
            kubernetes.put(ISVC, inference_service(name, manager, release))
            kubernetes.put(INGRESS, inference_service(f"{name}-v2", manager, release))
        until(lambda: kubernetes.names(ISVC) == ["helms", "neighbours"])
        until(lambda: kubernetes.names(INGRESS) == ["helms-v2", "neighbours-v2"])

    def test_what_was_deleted_or_changed_behind_our_back_is_put_right(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        deploy(api)
        first = kubernetes.find(ISVC, "digits")["metadata"]["uid"]
        kubernetes.remove(ISVC, "digits")
        until(lambda: kubernetes.names(ISVC) == ["digits"] and kubernetes.names(INGRESS) == ["digits-v2"])
        service = kubernetes.find(ISVC, "digits")
        assert service["metadata"]["uid"] != first
        until(lambda: shown(api)["ready"])
        kubernetes.remove(INGRESS, "digits-v2")
        until(lambda: kubernetes.names(INGRESS) == ["digits-v2"])
        service["spec"]["predictor"]["model"]["storageUri"] = "http://elsewhere"
        kubernetes.put(ISVC, service)
        until(
            lambda: "artifacts" in kubernetes.find(ISVC, "digits")["spec"]["predictor"]["model"]["storageUri"]
        )

    def test_nothing_is_written_again_while_nothing_changes(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        deploy(api)
        before = len(kubernetes.written(ISVC))
        time.sleep(3)
        assert len(kubernetes.written(ISVC)) == before

    @pytest.mark.parametrize("labelled", [False, True])
    def test_an_object_of_somebody_else_is_not_taken_over(
        self, api: httpx.Client, kubernetes: FakeKubernetes, labelled: bool
    ) -> None:
        marks = {"app.kubernetes.io/instance": "marina"} if labelled else {}
        theirs = {"metadata": {"name": "digits", "labels": marks}, "spec": {"predictor": {"theirs": True}}}
        kubernetes.put(ISVC, theirs)
        api.post(URL, json={"experiment": "digits"}).raise_for_status()
        until(lambda: seen(api)[0] == "failed")
        assert "not made by Marina" in seen(api)[2]
        assert kubernetes.find(ISVC, "digits")["spec"] == {"predictor": {"theirs": True}}

    def test_one_that_is_refused_says_why_and_holds_up_no_other(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        kubernetes.refuse = refusing(
            status=403, message="exceeded quota: pods=10", method="PATCH", name="digits"
        )
        api.post(URL, json={"experiment": "digits"}).raise_for_status()
        deploy(api, name="second")
        assert seen(api)[0] == "failed"
        assert "does not allow" in seen(api)[2]
        assert "exceeded quota" in seen(api)[2]
        kubernetes.refuse = refusing()
        until(lambda: shown(api)["ready"])

    def test_without_kserve_the_reason_says_so(self, api: httpx.Client, kubernetes: FakeKubernetes) -> None:
        deploy(api)
        kubernetes.refuse = refusing(status=404, message="not found", method="PATCH")
        api.post(URL, json={"experiment": "digits", "name": "second"}).raise_for_status()
        until(lambda: "does not know InferenceServices" in seen(api, "second")[2])


def inference_service(name: str, manager: str, release: str = "marina", **more: Any) -> dict[str, Any]:
    """An InferenceService, or anything with its labels, as somebody else writes it."""
    marks = {
        "app.kubernetes.io/instance": release,
        "app.kubernetes.io/managed-by": manager,
        "marina/experiment": more.get("experiment", "digits"),
        "marina/version": str(more.get("version", 1)),
        "marina/runtime": more.get("runtime", "torchserve"),
    }
    model = {"storageUri": f"http://artifacts/{name}.mar"}
    return {
        "metadata": {"name": name, "labels": marks},
        "spec": {"predictor": {"minReplicas": more.get("replicas", 1), "model": model}},
    }


class TestReasons:
    """A version that cannot be served is failed with its reason, while the old one is said to answer."""

    @pytest.mark.parametrize(
        ("status", "state", "reason"),
        [
            (
                {
                    "initContainerStatuses": [
                        container(
                            "storage-initializer",
                            waiting={"reason": "CrashLoopBackOff"},
                            last={"exitCode": 1, "message": "Traceback\nRuntimeError: 404 Not Found"},
                        )
                    ]
                },
                "failed",
                "The archive cannot be fetched: RuntimeError: 404 Not Found",
            ),
            (
                {
                    "containerStatuses": [
                        container(
                            "kserve-container",
                            running={"startedAt": "now"},
                            last={"exitCode": 137, "reason": "OOMKilled"},
                        )
                    ]
                },
                "failed",
                "needs more memory",
            ),
            (
                {
                    "containerStatuses": [
                        container(
                            "kserve-container", terminated={"exitCode": 1, "message": "sha256 is aa, not bb"}
                        )
                    ]
                },
                "failed",
                "The model's process ended: sha256 is aa, not bb",
            ),
            (
                {
                    "containerStatuses": [
                        container("kserve-container", waiting={"reason": "ImagePullBackOff"})
                    ]
                },
                "failed",
                "The image marina-serving:0.1.0 cannot be pulled",
            ),
            (
                {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: cpu"}]},
                "pending",
                "No node can take the pod: 0/1 nodes: cpu",
            ),
        ],
        ids=["fetch", "memory", "crash", "image", "node"],
    )
    def test_a_rollout_that_fails(
        self,
        api: httpx.Client,
        kubernetes: FakeKubernetes,
        status: dict[str, Any],
        state: str,
        reason: str,
    ) -> None:
        deploy(api)
        kubernetes.broken["digits", "2"] = status
        api.patch(f"{URL}/digits", json={"version": 2}).raise_for_status()
        until(lambda: seen(api)[:2] == (state, 1) and reason in seen(api)[2])
        # The InferenceService itself goes on saying Ready.
        assert kubernetes.find(ISVC, "digits")["status"]["conditions"][1]["status"] == "True"
        api.post(f"{URL}/digits/rollback").raise_for_status()
        until(lambda: seen(api) == ("ready", 1, ""))

    def test_a_model_whose_process_lives_says_itself_why_it_cannot_be_served(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        reason = "the archive's sha256 is 000000000000..., registered was 111111111111..."
        with V2Server() as pod:
            pod.status = lambda: (
                b'{"models": [{"name": "digits", "state": "failed", "reason": "%s"}]}' % reason.encode()
            )
            kubernetes.broken["digits", "2"] = {
                "phase": "Running",
                "podIP": "127.0.0.1",
                "containerStatuses": [container("kserve-container", running={})],
            }
            deploy(api)
            original = kubernetes.put
            port = {"name": "kserve-container", "ports": [{"containerPort": pod.port}]}
            kubernetes.put = lambda plural, item: original(  # type: ignore[method-assign]
                plural, {**item, "spec": {"containers": [port]}} if plural == POD else item
            )
            api.patch(f"{URL}/digits", json={"version": 2}).raise_for_status()
            until(lambda: seen(api) == ("failed", 1, reason))

    def test_a_first_version_that_cannot_be_served_answers_nothing(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        kubernetes.broken["digits", "1"] = {
            "containerStatuses": [container("kserve-container", terminated={"exitCode": 1})]
        }
        api.post(URL, json={"experiment": "digits", "version": 1}).raise_for_status()
        until(lambda: seen(api)[:2] == ("failed", None))
        assert "exit code 1" in seen(api)[2]

    def test_an_inference_service_that_kserve_cannot_use_is_failed_in_its_words(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        kubernetes.kserve = False
        api.post(URL, json={"experiment": "digits", "version": 1}).raise_for_status()
        until(lambda: kubernetes.names(ISVC) == ["digits"])
        until(lambda: seen(api) == ("pending", None, "KServe has not made its pods yet."))
        service = kubernetes.find(ISVC, "digits")
        info = {
            "reason": "NoSupportingRuntime",
            "message": "No ServingRuntimes with the name: marina-torchserve",
        }
        service["status"] = {
            **status_of("False", "no runtime"),
            "modelStatus": {"transitionStatus": "InvalidSpec", "lastFailureInfo": info},
        }
        kubernetes.put(ISVC, service)
        until(lambda: seen(api) == ("failed", None, info["message"]))

    def test_pods_that_may_not_be_listed_leave_what_the_service_says(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        kubernetes.refuse = refusing(status=403, message="forbidden", plural=POD)
        deploy(api)
        assert seen(api) == ("ready", 1, "")


class TestOutages:
    """What happens while the Kubernetes API, or this one, is away."""

    @pytest.mark.parametrize("drop", ["drop_watches", "forget"])
    def test_a_watch_that_ends_goes_on(
        self, api: httpx.Client, kubernetes: FakeKubernetes, drop: str
    ) -> None:
        deploy(api)
        watches = kubernetes.watches
        getattr(kubernetes, drop)()
        until(lambda: kubernetes.watches >= watches + 2)
        service = kubernetes.find(ISVC, "digits")
        service["status"] = status_of("False", "the node is gone")
        kubernetes.remove(POD, kubernetes.names(POD)[0])
        kubernetes.put(ISVC, service)
        until(lambda: seen(api) == ("pending", None, "the node is gone"), 5)

    def test_what_was_deleted_while_the_watch_was_too_old_is_found(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        deploy(api)
        kubernetes.stop()
        kubernetes.remove(ISVC, "digits")
        kubernetes.forget()
        kubernetes.start()
        until(lambda: kubernetes.names(ISVC) == ["digits"], 15)

    def test_ten_seconds_without_the_kubernetes_api_change_nothing_and_lose_nothing(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        deploy(api)
        kubernetes.stop()
        api.patch(f"{URL}/digits", json={"version": 2}).raise_for_status()
        time.sleep(10)
        state = seen(api)
        assert state == ("pending", 1, "KServe has not taken up version 2 yet.")
        kubernetes.start()
        until(lambda: seen(api) == ("ready", 2, ""), 8)

    def test_an_api_that_starts_without_the_kubernetes_api_says_so(
        self, settings: Settings, kubernetes: FakeKubernetes
    ) -> None:
        kubernetes.stop()
        with running(create_app(settings)) as address, httpx.Client(base_url=address, timeout=30) as api:
            api.post(URL, json={"experiment": "digits"}).raise_for_status()
            until(lambda: seen(api)[0] == "unknown", 15)
            assert "does not answer" in seen(api)[2]
            kubernetes.start()
            until(lambda: shown(api)["ready"], 15)

    def test_an_api_killed_between_service_and_route_makes_the_route_at_its_next_start(
        self, settings: Settings, kubernetes: FakeKubernetes
    ) -> None:
        held: list[str] = []

        def hold(method: str, plural: str, name: str) -> None:
            if method == "PATCH" and plural == INGRESS:
                held.append(name)
                time.sleep(2)

        kubernetes.refuse = hold
        with api_process(settings) as (process, api):
            api.post(URL, json={"experiment": "digits"}).raise_for_status()
            until(lambda: bool(held))
            process.kill()
            process.wait(10)
        time.sleep(2.2)
        kubernetes.refuse = refusing()
        # What the held request still did is undone: the process died before it was sent.
        kubernetes.remove(INGRESS, "digits-v2")
        assert kubernetes.names(ISVC) == ["digits"]
        with api_process(settings) as (_, api):
            until(lambda: kubernetes.names(INGRESS) == ["digits-v2"])
            until(lambda: shown(api)["ready"])


@contextmanager
def api_process(settings: Settings) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """The API as its own process, as an image starts it."""
    port = free_port()
    given = settings.model_dump(exclude_none=True, exclude_defaults=True) | {"port": port}
    environment = {f"METADATA_API_{key}".upper(): str(value) for key, value in given.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "metadata_api"], env={**os.environ, **environment}, stderr=subprocess.DEVNULL
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as api:
            until(lambda: answers(api), 60)
            yield process, api
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


def answers(api: httpx.Client) -> bool:
    try:
        return api.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


class TestHelm:
    """Deployments that Helm owns are shown, and changed by nobody else."""

    @pytest.fixture
    def helms(self, api: httpx.Client, kubernetes: FakeKubernetes) -> None:
        kubernetes.put(ISVC, inference_service("digits", "Helm"))
        kubernetes.control("digits")
        until(lambda: api.get(f"{URL}/digits").status_code == 200 and shown(api)["ready"])

    def test_they_are_rows_that_follow_the_values(
        self, api: httpx.Client, kubernetes: FakeKubernetes, helms: None
    ) -> None:
        assert (shown(api)["owner"], shown(api)["version"], shown(api)["runtime"]) == (
            "helm",
            1,
            "torchserve",
        )
        kubernetes.put(ISVC, inference_service("digits", "Helm", version=2, replicas=2))
        kubernetes.control("digits")
        until(lambda: seen(api) == ("ready", 2, ""))
        assert (shown(api)["previous_version"], shown(api)["replicas"]) == (1, 2)
        kubernetes.remove(ISVC, "digits")
        until(lambda: api.get(f"{URL}/digits").status_code == 404)
        assert kubernetes.written(ISVC) == []

    @pytest.mark.parametrize(
        ("method", "path", "body", "command"),
        [
            ("PATCH", "/digits", {"version": 2}, "experiments.digits.version=2"),
            (
                "PATCH",
                "/digits",
                {"runtime": "native", "replicas": 2},
                "experiments.digits.runtime=native --set experiments.digits.replicas=2",
            ),
            ("POST", "/digits/stop", None, "experiments.digits=null"),
            ("DELETE", "/digits", None, "experiments.digits=null"),
            ("POST", "", {"experiment": "digits", "version": 3}, "experiments.digits.version=3"),
        ],
    )
    def test_a_change_is_a_409_with_the_command_to_run_instead(
        self,
        api: httpx.Client,
        kubernetes: FakeKubernetes,
        helms: None,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        command: str,
    ) -> None:
        answer = api.request(method, f"{URL}{path}", json=body)
        assert (answer.status_code, answer.json()["error"]) == (409, "owned_by_helm")
        said = answer.json()["detail"]
        assert "helm upgrade marina charts/marina --namespace models --reuse-values --set" in said
        assert command in said
        assert shown(api)["version"] == 1

    def test_one_whose_version_nobody_registered_is_listed_apart(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        kubernetes.put(ISVC, inference_service("foreign", "Helm", experiment="unknown", version=7))
        until(lambda: bool(api.get(URL).json()["unregistered"]))
        [one] = api.get(URL).json()["unregistered"]
        assert (one["name"], one["storage_uri"]) == ("foreign", "http://artifacts/foreign.mar")
        assert (one["state"], one["reason"]) == ("pending", "KServe has not made its pods yet.")
        answer = api.post(URL, json={"experiment": "digits", "name": "foreign"})
        assert (answer.status_code, answer.json()["error"]) == (409, "owned_by_helm")

    def test_registering_it_makes_it_a_deployment(
        self, api: httpx.Client, kubernetes: FakeKubernetes, engine: Engine
    ) -> None:
        kubernetes.put(ISVC, inference_service("digits", "Helm", version=4))
        until(lambda: bool(api.get(URL).json()["unregistered"]))
        make_version(engine, 4)
        until(lambda: [item["owner"] for item in api.get(URL).json()["items"]] == ["helm"])
        assert api.get(URL).json()["unregistered"] == []

    def test_one_that_an_alias_points_at_stays_as_stopped(
        self, api: httpx.Client, kubernetes: FakeKubernetes, helms: None, engine: Engine
    ) -> None:
        with engine.begin() as connection:
            connection.execute(
                text(
                    "insert into aliases (name, deployment_id, version_id) "
                    "select 'champion', id, version_id from deployments"
                )
            )
        kubernetes.remove(ISVC, "digits")
        until(lambda: seen(api) == ("stopped", None, ""))


def test_with_a_gateway_the_route_is_an_http_route_and_its_refusal_is_told(
    settings: Settings, kubernetes: FakeKubernetes, engine: Engine, tmp_path: Path
) -> None:
    gateway = {"name": "traefik", "namespace": "traefik", "section": ""}
    config = {**CONFIG, "expose": {"mode": "gateway", "gateway": gateway}}
    with running(create_app(kserve_settings(engine, kubernetes, tmp_path, config))) as address:
        api = httpx.Client(base_url=address, timeout=30)
        deploy(api)
        until(lambda: kubernetes.names(ROUTE) == ["digits-v2"])
        route = kubernetes.find(ROUTE, "digits-v2")
        condition = {"type": "Accepted", "status": "False", "message": "no listener takes it"}
        kubernetes.put(ROUTE, {**route, "status": {"parents": [{"conditions": [condition]}]}})
        until(lambda: seen(api) == ("ready", 1, "It is not reachable from outside: no listener takes it"))
        api.close()


def test_routes_of_another_mode_are_removed_once_the_new_ones_are_there(
    settings: Settings, kubernetes: FakeKubernetes, engine: Engine, tmp_path: Path
) -> None:
    with running(create_app(kserve_settings(engine, kubernetes, tmp_path, CONFIG))) as address:
        with httpx.Client(base_url=address, timeout=30) as api:
            deploy(api)
        until(lambda: kubernetes.names(INGRESS) == ["digits-v2"])
    (tmp_path / "next").mkdir()
    gateway = {"name": "traefik", "namespace": "traefik", "section": ""}
    config = {**CONFIG, "expose": {"mode": "gateway", "gateway": gateway}}
    with running(create_app(kserve_settings(engine, kubernetes, tmp_path / "next", config))):
        until(lambda: kubernetes.names(ROUTE) == ["digits-v2"])
        until(lambda: kubernetes.names(INGRESS) == [])
