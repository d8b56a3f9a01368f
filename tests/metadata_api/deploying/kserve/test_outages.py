"""Through every outage the state ends as it is desired."""

from dataclasses import replace
from threading import Event

import httpx
import pytest
from fastapi import FastAPI

from metadata_api.app import create_app
from metadata_api.settings import Settings
from tests.metadata_api.deploying.kserve.fake_kubernetes import (
    INGRESS,
    ISVC,
    POD,
    FakeKubernetes,
    rejecting,
    status_of,
)
from tests.metadata_api.deploying.kserve.stage import URL, api_process, deploy, seen, shown
from tests.metadata_api.deploying.rounds import QUICK, wait_for_rounds
from tests.metadata_api.servers import running
from tests.waiting import until


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
        until(lambda: seen(api) == ("pending", None, "the node is gone"), seconds=5)

    def test_what_was_deleted_while_the_watch_was_too_old_is_found(
        self, api: httpx.Client, kubernetes: FakeKubernetes
    ) -> None:
        deploy(api)
        kubernetes.stop()
        kubernetes.remove(ISVC, "digits")
        kubernetes.forget()
        kubernetes.start()
        until(lambda: kubernetes.names(ISVC) == ["digits"], seconds=15)

    def test_a_while_without_the_kubernetes_api_changes_nothing_and_loses_nothing(
        self, api: httpx.Client, kubernetes: FakeKubernetes, reconciling: FastAPI
    ) -> None:
        deploy(api)
        kubernetes.stop()
        api.patch(f"{URL}/digits", json={"version": 2}).raise_for_status()
        wait_for_rounds(reconciling, 20)
        state = seen(api)
        assert state == ("pending", 1, "KServe has not taken up version 2 yet.")
        kubernetes.start()
        until(lambda: seen(api) == ("ready", 2, ""), seconds=8)

    def test_what_was_seen_last_is_not_believed_for_ever(
        self, settings: Settings, kubernetes: FakeKubernetes
    ) -> None:
        app = create_app(settings, replace(QUICK, believed=0.2))
        with running(app) as address, httpx.Client(base_url=address, timeout=30) as api:
            deploy(api)
            kubernetes.stop()
            until(lambda: seen(api)[0] == "unknown")
            kubernetes.start()
            until(lambda: seen(api) == ("ready", 1, ""))

    def test_an_api_that_starts_without_the_kubernetes_api_says_so(
        self, settings: Settings, kubernetes: FakeKubernetes
    ) -> None:
        kubernetes.stop()
        with (
            running(create_app(settings, QUICK)) as address,
            httpx.Client(base_url=address, timeout=30) as api,
        ):
            api.post(URL, json={"experiment": "digits"}).raise_for_status()
            until(lambda: seen(api)[0] == "unknown", seconds=15)
            assert "does not answer" in seen(api)[2]
            kubernetes.start()
            until(lambda: shown(api)["ready"], seconds=15)

    def test_an_api_killed_between_service_and_route_makes_the_route_at_its_next_start(
        self, settings: Settings, kubernetes: FakeKubernetes
    ) -> None:
        held: list[str] = []
        killed = Event()

        def hold(method: str, plural: str, name: str) -> tuple[int, str] | None:
            if method != "PATCH" or plural != INGRESS:
                return None
            held.append(name)
            killed.wait(30)
            return 503, "whoever asked is dead"

        kubernetes.reject = hold
        with api_process(settings) as (process, api):
            api.post(URL, json={"experiment": "digits"}).raise_for_status()
            until(lambda: bool(held))
            process.kill()
            process.wait(10)
        killed.set()
        kubernetes.reject = rejecting()
        assert (kubernetes.names(ISVC), kubernetes.names(INGRESS)) == (["digits"], [])
        with api_process(settings) as (_, api):
            until(lambda: kubernetes.names(INGRESS) == ["digits-v2"])
            until(lambda: shown(api)["ready"])
