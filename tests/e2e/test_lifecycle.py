"""Install, upgrade, roll back, uninstall and install again over what is left, with Helm 3 and with Helm 4."""

from collections.abc import Iterator

import pytest

from tests.e2e.cluster import ROOT, helm, kubectl, objects, run, wait_flag, wait_for

NAMESPACE = "marina-lifecycle"
CHART = str(ROOT / "charts" / "marina")
VALUES = ("--set", "starter.enabled=false", "--set", "ui.resources.requests.cpu=10m")
KINDS = "deployments,statefulsets,services,configmaps,secrets,persistentvolumeclaims,serviceaccounts,roles,rolebindings"
OWN = {"configmap/kube-root-ca.crt", "serviceaccount/default"}


@pytest.fixture
def namespace() -> Iterator[str]:
    run("kubectl", "create", "namespace", NAMESPACE)
    run("kubectl", "label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    yield NAMESPACE
    run("kubectl", "delete", "namespace", NAMESPACE, "--wait", "--timeout=120s")


def left() -> set[str]:
    """What is in the namespace, as kind/name; Helm's own records are not counted."""
    found = {
        f"{item['kind'].lower()}/{item['metadata']['name']}" for item in objects(KINDS, namespace=NAMESPACE)
    }
    return {name for name in found - OWN if "sh.helm.release" not in name}


@pytest.mark.parametrize("program", ["helm", "helm4"])
def test_a_life_of_a_release(namespace: str, program: str) -> None:
    def act(*words: str) -> str:
        return helm(*words, program=program, namespace=namespace)

    wait = [wait_flag(program), "--timeout=300s"]
    act("install", "marina", CHART, *VALUES, *wait)
    secret = kubectl("get", "secrets", "-o", "jsonpath={.items[*].data}", namespace=namespace)
    act("upgrade", "marina", CHART, "--reuse-values", "--set", "api.podAnnotations.changed=yes", *wait)
    act("rollback", "marina", "1", *wait)
    act("uninstall", "marina", "--wait", "--timeout=180s")

    def kept() -> set[str] | None:
        """What is left, when all of it is meant to stay."""
        found = left()
        assert all(name.startswith(("secret/", "persistentvolumeclaim/")) for name in found), found
        return found

    stayed = wait_for("only claims and Secrets are left", kept, 60)
    print(f"\n  after {program} uninstall: {', '.join(sorted(stayed))}")
    act("install", "marina", CHART, *VALUES, *wait)
    again = kubectl("get", "secrets", "-o", "jsonpath={.items[*].data.password}", namespace=namespace)
    assert again
    assert again in secret, "the password is the same"
    act("uninstall", "marina", "--wait", "--timeout=180s")


def test_wrong_values_fail_at_install_with_one_line_that_says_what_to_do(namespace: str) -> None:
    wrong = {
        "unknownKey=1": "unknownKey",
        "externalDatabase.existingSecret=other": "database",
        "expose.mode=ingress": "expose.host",
    }
    for setting, word in wrong.items():
        with pytest.raises(AssertionError) as rejected:
            helm("install", "wrong", CHART, "--set", setting, namespace=namespace)
        assert word in str(rejected.value)
    assert left() == set()
