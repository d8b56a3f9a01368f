"""Environments of the values become ServingRuntimes, and models of a version are served by those of its environment."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendering import Rejected, environment, render, shape
from tests.chart.test_same_as_api import DIGEST, read, without_owner

ENVIRONMENTS = shape("environments")


def container_of(runtime: str, values: dict[str, Any] = ENVIRONMENTS) -> Any:
    (found,) = render(values).one("ServingRuntime", runtime)["spec"]["containers"]
    return found


def test_each_has_a_runtime_of_both_kinds_beside_those_of_base() -> None:
    names = {found["metadata"]["name"] for found in render(ENVIRONMENTS).kind("ServingRuntime")}
    assert names == {
        *("marina-torchserve", "marina-native"),
        *("marina-torchserve-vision", "marina-native-vision"),
        *("marina-torchserve-audio", "marina-native-audio"),
    }


@pytest.mark.parametrize("runtime", ["torchserve", "native"])
def test_a_runtime_has_the_image_of_its_environment_and_says_so(runtime: str) -> None:
    container = container_of(f"marina-{runtime}-vision")
    assert container["image"].startswith("marina-serving-vision:")
    assert environment(container)["SERVING_ENVIRONMENT"] == "vision"
    assert environment(container)["SERVING_RUNTIME"] == runtime
    base = container_of(f"marina-{runtime}")
    assert "SERVING_ENVIRONMENT" not in environment(base)
    assert container["resources"] == base["resources"]


def test_registry_and_tag_are_those_of_serving_and_its_digest_is_not() -> None:
    image = {"registry": "registry.example.org", "tag": "9", "digest": "sha256:" + "a" * 64}
    container = container_of(
        "marina-native-vision", {"environments": {"vision": {}}, "serving": {"image": image}}
    )
    assert container["image"] == "registry.example.org/marina-serving-vision:9"


def test_an_environment_may_have_an_image_and_resources_of_its_own() -> None:
    container = container_of("marina-native-audio")
    assert container["image"] == "registry.example.org/audio:1"
    assert container["resources"]["limits"]["memory"] == "2Gi"


def test_the_api_knows_which_there_are_and_what_those_of_ones_own_have(tmp_path: Path) -> None:
    found = read(render(ENVIRONMENTS), tmp_path).environments
    assert set(found) == {"vision", "audio"}
    assert found["audio"].imports == ["soundfile"]
    assert found["audio"].packages == {"soundfile": "0.13.1"}
    assert found["vision"].imports == []
    assert read(render({}), tmp_path).environments == {}


@pytest.mark.parametrize("name", ["base", "vision"])
def test_an_inference_service_is_the_same_from_the_api(name: str, tmp_path: Path) -> None:
    one = {
        "experiment": "cnn-baseline",
        "version": 3,
        "sha256": DIGEST,
        "runtime": "native",
        "environment": name,
    }
    rendered = render({"environments": {"vision": {}}, "experiments": {"cnn": one}})
    desired = import_module("metadata_api.deploying.base").Desired(
        "cnn", "cnn-baseline", 3, DIGEST, "native", 1, environment=name
    )
    made = import_module("metadata_api.deploying.kserve.inference_services").build(
        read(rendered, tmp_path), desired
    )
    assert made["spec"]["predictor"]["model"]["runtime"] == (
        "marina-native" if name == "base" else f"marina-native-{name}"
    )
    assert without_owner(made) == without_owner(rendered.one("InferenceService", "cnn"))


def test_an_experiment_of_an_environment_that_is_not_there_is_rejected_with_what_to_do() -> None:
    one = {"experiment": "cnn-baseline", "version": 3, "environment": "text"}
    with pytest.raises(
        Rejected, match="experiments.cnn names the environment text: add text to environments"
    ):
        render({"experiments": {"cnn": one}})


@pytest.mark.parametrize("name", ["base", "Vision", "a-name-that-is-much-too-long"])
def test_a_name_that_cannot_be_one_is_rejected(name: str) -> None:
    with pytest.raises(Rejected):
        render({"environments": {name: {}}})
