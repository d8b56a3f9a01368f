"""Storage, the way in, rights and the namespace: each thing that can be wrong has its line."""

from typing import Any

import pytest

from marina_doctor import exposure, namespaces, rights, volumes
from marina_doctor.observed import Right
from tests.e2e.sdk.doctor.objects import (
    before,
    claim,
    event,
    ingress_class,
    installed,
    lines,
    meta,
    namespace,
    said,
    storage_class,
    typed,
    values,
    well,
)

GATEWAY = {"name": "web", "namespace": "", "section": ""}


def quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> Any:
    status = {"hard": hard, "used": used or dict.fromkeys(hard, "0")}
    return typed(
        {"metadata": meta("small"), "spec": {"hard": hard, **spec}, "status": status}, "V1ResourceQuota"
    )


def limit_range(**limits: Any) -> Any:
    return typed(
        {"metadata": meta("range"), "spec": {"limits": [{"type": "Container", **limits}]}}, "V1LimitRange"
    )


class TestStorage:
    def test_without_a_default_class_an_installation_gets_no_volumes(self) -> None:
        found = said(volumes.check(before(storage_classes=[storage_class("slow")], claims=[])))
        assert "FAIL  storage: the cluster has no default StorageClass, and these claims name none" in found
        assert "data-marina-postgres-0, marina-backup, marina-store" in found

    def test_without_a_default_class_a_release_with_volumes_goes_on(self) -> None:
        [line] = lines(well(storage_classes=[storage_class("standard")]))
        assert line.startswith("warn  storage: the cluster has no default StorageClass")

    def test_a_class_of_the_values_that_does_not_exist(self) -> None:
        given = values(api__persistence__storageClass="fast")
        found = said(volumes.check(before(given, storage_classes=[storage_class("slow", default=True)])))
        assert (
            "FAIL  storage: the StorageClass fast of the claim marina-store does not exist (there is: slow)"
            in found
        )

    def test_a_claim_of_the_values_that_does_not_exist(self) -> None:
        given = values(api__persistence__existingClaim="mine")
        assert "FAIL  storage: the claim mine does not exist" in said(volumes.check(before(given, claims=[])))

    def test_a_claim_of_the_release_that_is_gone(self) -> None:
        found = lines(well(claims=[claim("marina-store"), claim("marina-backup")]))
        assert found == [
            "FAIL  storage: the claim data-marina-postgres-0 does not exist. Restore it from a backup, "
            "or let `make deploy` make an empty one (then `make restore`)"
        ]

    @pytest.mark.parametrize(
        ("one", "events", "line"),
        [
            (claim("data", "Lost"), [], "FAIL  storage: the claim data is Lost: its volume is gone"),
            (
                claim("data", "Pending", "gone"),
                [],
                "FAIL  storage: the claim data is Pending: its StorageClass gone",
            ),
            (
                claim("data", "Pending", None),
                [],
                "FAIL  storage: the claim data is Pending: it has no StorageClass",
            ),
            (
                claim("data", "Pending"),
                [event("ProvisioningFailed", "no space", kind="PersistentVolumeClaim", name="data")],
                "FAIL  storage: the claim data is Pending: no space",
            ),
            (
                claim("data", "Pending"),
                [],
                "warn  storage: the claim data is Pending: it waits for its first pod",
            ),
        ],
        ids=["lost", "class-missing", "no-class", "provisioner", "waits"],
    )
    def test_a_claim_without_a_volume(self, one: Any, events: list[Any], line: str) -> None:
        observed = installed(
            storage_classes=[storage_class("standard", default=True)], claims=[one], warnings=events
        )
        assert line in said(volumes.check(observed))


class TestTheWayIn:
    @pytest.mark.parametrize(
        ("classes", "desired", "line"),
        [
            ([], "", "FAIL  exposure: the cluster has no IngressClass"),
            (
                [],
                "nginx",
                "FAIL  exposure: the IngressClass nginx of the values does not exist (there is: none)",
            ),
            (["traefik"], "", "warn  exposure: no IngressClass is the default (there is: traefik)"),
            (["traefik"], "traefik", "ok    exposure: the IngressClass traefik is there"),
        ],
        ids=["none", "another", "no-default", "named"],
    )
    def test_ingress_classes(self, classes: list[str], desired: str, line: str) -> None:
        given = values(expose__ingress__className=desired)
        observed = before(given, ingress_classes=[ingress_class(name) for name in classes])
        assert line in said(exposure.check(observed))

    def test_nothing_is_needed_for_no_way_in(self) -> None:
        assert said(exposure.check(before(values(expose__mode="none"), ingress_classes=[]))).startswith(
            "info"
        )

    @pytest.mark.parametrize(
        ("gateway", "section", "line"),
        [
            (None, "", "FAIL  exposure: the Gateway web in namespace models does not exist"),
            ({"spec": {"listeners": [{"name": "http"}]}}, "https", "has no listener https (there is: http)"),
            (
                {
                    "spec": {"listeners": []},
                    "status": {
                        "conditions": [{"type": "Programmed", "status": "False", "message": "no address"}]
                    },
                },
                "",
                "is not Programmed: no address",
            ),
            ({"spec": {"listeners": []}}, "", "ok    exposure: the Gateway web in namespace models is there"),
        ],
        ids=["missing", "listener", "programmed", "well"],
    )
    def test_gateways(self, gateway: Any, section: str, line: str) -> None:
        given = values(expose__mode="gateway", expose__gateway={**GATEWAY, "section": section})
        observed = before(given, gateway=gateway, kinds={"gateway.networking.k8s.io/v1": ["httproutes"]})
        assert line in said(exposure.check(observed))

    def test_the_gateway_api_is_not_served(self) -> None:
        given = values(expose__mode="gateway", expose__gateway=GATEWAY)
        found = said(exposure.check(before(given, kinds={"gateway.networking.k8s.io/v1": []})))
        assert found.startswith("FAIL  exposure: the cluster does not serve HTTPRoutes")

    def test_a_route_that_its_gateway_does_not_take(self) -> None:
        given = values(expose__mode="gateway", expose__gateway=GATEWAY)
        condition = {"type": "Accepted", "status": "False", "message": "not allowed by listeners"}
        route = {"metadata": {"name": "marina"}, "status": {"parents": [{"conditions": [condition]}]}}
        observed = installed(given, gateway={"spec": {"listeners": []}}, routes=[route])
        found = said(exposure.check(observed))
        assert "FAIL  exposure: the HTTPRoute marina is not Accepted: not allowed by listeners" in found


class TestRights:
    MISSING = [Right("create", "apps", "deployments", False), Right("delete", "apps", "deployments", False)]

    def test_the_user_may_not_install(self) -> None:
        assert said(rights.check(before(rights=[Right("get", "", "pods", True), *self.MISSING]))).startswith(
            "FAIL  rights: this user may not create, delete deployments.apps in namespace models"
        )

    def test_a_release_that_runs_needs_the_user_only_for_an_upgrade(self) -> None:
        assert said(rights.check(installed(rights=self.MISSING))).startswith(
            "warn  rights: this user may not"
        )

    def test_the_api_may_not_make_inference_services(self) -> None:
        missing = [Right("create", "serving.kserve.io", "inferenceservices", False)]
        [line] = lines(well(api_rights=missing))
        assert line.startswith(
            "FAIL  rights: the API's service account may not create inferenceservices.serving.kserve.io"
        )

    def test_what_is_asked_for_follows_the_values(self) -> None:
        whole = rights.for_installation(values())
        assert ("create", "apps", "statefulsets") in whole
        assert ("patch", "networking.k8s.io", "ingresses") in whole
        less = rights.for_installation(
            values(postgres__enabled=False, expose__mode="none", kserve__enabled=False)
        )
        assert {one[2] for one in whole} - {one[2] for one in less} == {
            *("statefulsets", "ingresses", "servingruntimes", "inferenceservices", "roles", "rolebindings")
        }


class TestTheNamespace:
    def test_one_that_does_not_exist_is_information(self) -> None:
        assert said(namespaces.check(before())).startswith("info  namespace: models does not exist yet")

    def test_one_that_is_being_deleted(self) -> None:
        going = namespace()
        going.metadata.deletion_timestamp = going.metadata.creation_timestamp
        assert said(namespaces.check(before(namespace=going))).startswith(
            "FAIL  namespace: models is being deleted"
        )

    @pytest.mark.parametrize(
        ("hard", "line"),
        [
            ({"pods": "2"}, "leaves 2 of pods, and the release needs 5. Raise it to at least 5"),
            ({"limits.memory": "1Gi"}, "leaves 1Gi of limits.memory, and the release needs 3.3Gi"),
            ({"requests.cpu": "100m"}, "leaves 0.1 of requests.cpu, and the release needs 0.22"),
            ({"requests.storage": "20Gi"}, "leaves 20Gi of requests.storage, and the release needs 26Gi"),
            (
                {"limits.cpu": "8"},
                "wants a limit of cpu in every pod, and the values give none to api, postgres",
            ),
        ],
        ids=["pods", "memory", "cpu", "storage", "unstated"],
    )
    def test_a_quota_that_is_too_small_for_an_installation(self, hard: dict[str, str], line: str) -> None:
        found = said(namespaces.check(before(namespace=namespace(), quotas=[quota(hard)])))
        assert "FAIL  namespace: the ResourceQuota small" in found
        assert line in found

    def test_what_is_used_already_counts(self) -> None:
        observed = before(namespace=namespace(), quotas=[quota({"pods": "7"}, {"pods": "4"})])
        assert "leaves 3 of pods, and the release needs 5. Raise it to at least 9" in said(
            namespaces.check(observed)
        )

    def test_a_quota_on_limits_is_met_by_a_default(self) -> None:
        observed = before(
            namespace=namespace(),
            quotas=[quota({"limits.cpu": "8"})],
            limit_ranges=[limit_range(default={"cpu": "1"})],
        )
        assert lines(observed) == []

    def test_a_quota_for_other_pods_says_nothing(self) -> None:
        assert (
            lines(before(namespace=namespace(), quotas=[quota({"pods": "0"}, scopes=["Terminating"])])) == []
        )

    def test_a_quota_that_is_used_up_under_a_release(self) -> None:
        [line] = lines(well(quotas=[quota({"pods": "7"}, {"pods": "7"})]))
        assert line.startswith("warn  namespace: the ResourceQuota small has no pods left")

    def test_a_range_of_limits_that_is_narrower_than_the_values(self) -> None:
        found = said(
            namespaces.check(
                before(
                    namespace=namespace(),
                    limit_ranges=[limit_range(max={"memory": "700Mi"}, min={"cpu": "30m"})],
                )
            )
        )
        assert (
            "takes no limits.memory > 700Mi, as the values have it for api, postgres, serving.torchserve"
            in found
        )
        assert "takes no requests.cpu < 0.03, as the values have it for starter" in found
