"""The main job on the running system: a held-out digit, every model, one call, recorded."""

import json
import re
import subprocess

import httpx
import pytest

from tests.conftest import ROOT, Stack

README = (ROOT / "README.md").read_text()


def on_this_stack(stack: Stack, command: str) -> str:
    """A command of the README with the addresses of the running system."""
    for port, url in ((8000, stack.api_url), (8080, stack.serving_url), (7860, stack.ui_url)):
        command = command.replace(f"http://127.0.0.1:{port}", url)
    command = command.replace("@.marina/run/header", f"@{stack.home}/run/header")
    return command


def run(command: str) -> dict[str, object]:
    """What a command of the README prints, as JSON."""
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def readme_command(words: str) -> str:
    """The line of the README that holds these words."""
    found = [line for line in README.splitlines() if line.startswith("curl") and words in line]
    assert len(found) == 1, f"{words!r} stands in {len(found)} commands of the README"
    return found[0]


def test_the_five_of_the_readme_is_answered_five_by_the_best_experiment(
    stack: Stack, api: httpx.Client
) -> None:
    command = readme_command("five.json")
    named = re.search(r"/models/([a-z0-9-]+)/infer", command)
    assert named
    trained = api.get("/v1/experiments", params={"limit": 200}).json()["items"]
    of_digits = ("cnn-", "mlp-")
    starters = [item for item in trained if item["name"].startswith(of_digits)]
    accuracy = {item["name"]: item["metrics"]["test_accuracy"]["final"] for item in starters}
    best = max(accuracy, key=lambda name: accuracy[name])
    assert accuracy[named[1]] == accuracy[best], f"the README asks {named[1]}, but {best} is the best"
    answer = run(on_this_stack(stack, command))
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}  # type: ignore[attr-defined]
    assert outputs["label"] == ["5"]
    assert max(range(10), key=lambda label: outputs["probabilities"][label]) == 5


def test_the_compare_call_of_the_readme_is_answered_by_every_deployment(
    stack: Stack, api: httpx.Client
) -> None:
    listed = api.get("/v1/deployments", params={"limit": 200}).json()["items"]
    deployed = {item["name"] for item in listed if item["inputs"][0]["kind"] == "image"}
    answer = run(on_this_stack(stack, readme_command("/v1/predictions")))
    results = answer["results"]
    assert {result["deployment"] for result in results} == deployed  # type: ignore[attr-defined]
    assert len(deployed) >= 5
    assert [result["error"] for result in results] == [None] * len(deployed)  # type: ignore[attr-defined]
    for result in results:  # type: ignore[attr-defined]
        assert api.get(f"/v1/predictions/{result['prediction_id']}").json()["label"] == result["label"]


def test_every_digit_example_is_read_right_by_the_best_experiment(stack: Stack, api: httpx.Client) -> None:
    best = re.search(r"/models/([a-z0-9-]+)/infer", readme_command("five.json"))
    assert best
    wrong = []
    for digit in range(10):
        files = {"image": (ROOT / "models" / "examples" / f"digit-{digit}.png").read_bytes()}
        answer = api.post("/v1/predictions", files=files, data={"deployments": best[1]}).json()
        if answer["results"][0]["label"] != str(digit):
            wrong.append((digit, answer["results"][0]))
    assert wrong == []


def test_an_alias_is_answered_by_what_it_points_at_and_goes_back_in_one_call(
    stack: Stack, api: httpx.Client
) -> None:
    alias, five = "/v1/aliases/champion", (ROOT / "models" / "examples" / "five.json").read_bytes()

    def champion() -> str:
        answer = api.post("/v2/models/champion/infer", content=five).raise_for_status().json()
        return str(answer["model_name"])

    try:
        for name in ("mlp-wide", "cnn-baseline"):
            stack.wait_until_ready(name)
            assert api.put(alias, json={"deployment": name}).raise_for_status().json()["live"]
            assert champion() == name
        api.post(f"{alias}/rollback").raise_for_status()
        assert champion() == "mlp-wide"
    finally:
        assert api.delete(alias).status_code == 204


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_the_api_describes_itself(api: httpx.Client, path: str) -> None:
    assert api.get(path).status_code == 200
