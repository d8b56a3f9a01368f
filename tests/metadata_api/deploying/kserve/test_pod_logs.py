"""The last lines that the pods of a deployment logged, from the Kubernetes API."""

import httpx

from tests.metadata_api.deploying.kserve.fake_kubernetes import ISVC, POD, FakeKubernetes, container
from tests.metadata_api.deploying.kserve.stage import URL, deploy
from tests.waiting import until


def parts(api: httpx.Client, **query: int) -> list[tuple[str, list[str]]]:
    answer = api.get(f"{URL}/digits/logs", params=query)
    assert answer.status_code == 200, answer.text
    return [(one["pod"], one["lines"]) for one in answer.json()["parts"]]


def test_each_of_the_newest_pods_says_what_it_logged_last(
    api: httpx.Client, kubernetes: FakeKubernetes
) -> None:
    deploy(api, replicas=4)
    pods = kubernetes.names(POD)
    for number, pod in enumerate(pods):
        kubernetes.logs[pod, False] = [f"{pod} line {line}" for line in range(number + 2)]
    newest = pods[:0:-1]
    assert parts(api, lines=2) == [(pod, kubernetes.logs[pod, False][-2:]) for pod in newest]


def test_a_container_that_was_restarted_is_shown_with_what_it_said_before(
    api: httpx.Client, kubernetes: FakeKubernetes
) -> None:
    deploy(api)
    (pod,) = kubernetes.names(POD)
    item = kubernetes.find(POD, pod)
    item["status"]["containerStatuses"] = [{**container("kserve-container"), "restartCount": 1}]
    kubernetes.put(POD, item)
    kubernetes.logs[pod, True] = ["Traceback", "KeyError: 'weights'"]
    kubernetes.logs[pod, False] = ["listening"]
    assert parts(api) == [(pod, ["Traceback", "KeyError: 'weights'", "listening"])]
    assert parts(api, lines=1) == [(pod, ["listening"])]


def test_a_pod_that_has_not_begun_says_so_and_one_that_is_not_there_says_nothing(
    api: httpx.Client, kubernetes: FakeKubernetes
) -> None:
    deploy(api)
    (pod,) = kubernetes.names(POD)
    ((name, lines),) = parts(api)
    assert name == pod
    assert "is waiting to start" in lines[0]
    api.post(f"{URL}/digits/stop").raise_for_status()
    until(lambda: kubernetes.names(ISVC) == [])
    assert parts(api) == []


def test_while_the_kubernetes_api_is_away_it_is_a_503_that_says_so(
    api: httpx.Client, kubernetes: FakeKubernetes
) -> None:
    deploy(api)
    kubernetes.stop()
    try:
        answer = api.get(f"{URL}/digits/logs")
        assert (answer.status_code, answer.json()["error"]) == (503, "kubernetes_unreachable")
    finally:
        kubernetes.start()
