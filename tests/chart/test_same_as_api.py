"""The chart and the API write the same objects: for each other's eyes, and for whoever moves from one to the other."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendering import Object, Rendered, render, shape

DIGEST = "5" * 64


def read(rendered: Rendered, folder: Path) -> Any:
    """kserve.yaml as the API reads it."""
    path = folder / "kserve.yaml"
    path.write_text(rendered.one("ConfigMap", "marina-metadata-api")["data"]["kserve.yaml"])
    return import_module("metadata_api.deploying.kserve.config").read(path)


def test_the_api_knows_the_prefix_of_all_names_and_what_helm_calls_the_release(tmp_path: Path) -> None:
    config = import_module("metadata_api.deploying.kserve.config")
    path = tmp_path / "kserve.yaml"
    maps = render(name="digits").one("ConfigMap", "digits-marina-metadata-api")
    path.write_text(maps["data"]["kserve.yaml"])
    found = config.read(path)
    assert (found.release, found.helm_release) == ("digits-marina", "digits")


def desired(runtime: str, resources: dict[str, str | None], **options: int | None) -> Any:
    """The deployment `cnn` as the API wants it."""
    base = import_module("metadata_api.deploying.base")
    return base.Desired(
        name="cnn",
        experiment="cnn-baseline",
        version=3,
        sha256=DIGEST,
        runtime=runtime,
        replicas=2,
        resources=base.Resources.of(resources),
        options=base.ServingOptions(**options),
    )


def rendered_with(name: str, runtime: str, resources: dict[str, str | None], **more: Any) -> Rendered:
    """A shape with the same deployment among its experiments."""
    one = {"experiment": "cnn-baseline", "version": 3, "sha256": DIGEST, "runtime": runtime, "replicas": 2}
    return render({**shape(name), "experiments": {"cnn": {**one, "resources": resources, **more}}})


def without_owner(found: Object) -> Object:
    """An object less what says who made it."""
    metadata = {key: value for key, value in found["metadata"].items() if key != "ownerReferences"}
    labels = {k: v for k, v in metadata["labels"].items() if k != "app.kubernetes.io/managed-by"}
    return {**found, "metadata": {**metadata, "labels": labels}}


@pytest.mark.parametrize("runtime", ["torchserve", "native"])
@pytest.mark.parametrize("name", ["default", "ingress", "gateway", "external-s3", "mirror"])
@pytest.mark.parametrize(
    "resources",
    [
        pytest.param({}, id="default resources"),
        pytest.param({"cpu": "500m", "memory": "1Gi"}, id="its own"),
        pytest.param({"cpu": None, "memory": "1Gi"}, id="its own memory"),
    ],
)
def test_an_inference_service_is_the_same_from_both(
    name: str, runtime: str, resources: dict[str, str | None], tmp_path: Path
) -> None:
    rendered = rendered_with(name, runtime, resources)
    build = import_module("metadata_api.deploying.kserve.inference_services").build
    made = build(read(rendered, tmp_path), desired(runtime, resources))
    assert without_owner(made) == without_owner(rendered.one("InferenceService", "cnn"))


@pytest.mark.parametrize("startup", [None, 5, 901])
@pytest.mark.parametrize("response", [None, 1, 600])
def test_timeouts_are_the_same_from_both(startup: int | None, response: int | None, tmp_path: Path) -> None:
    rendered = rendered_with("default", "native", {}, startupSeconds=startup, responseSeconds=response)
    build = import_module("metadata_api.deploying.kserve.inference_services").build
    wish = desired("native", {}, startup_seconds=startup, response_seconds=response)
    made = build(read(rendered, tmp_path), wish)
    assert without_owner(made) == without_owner(rendered.one("InferenceService", "cnn"))


@pytest.mark.parametrize("size", [None, 1, 64])
@pytest.mark.parametrize("delay", [None, 0, 20])
def test_batches_are_the_same_from_both(size: int | None, delay: int | None, tmp_path: Path) -> None:
    rendered = rendered_with("default", "torchserve", {}, batchSize=size, batchDelayMs=delay)
    services = import_module("metadata_api.deploying.kserve.inference_services")
    wish = desired("torchserve", {}, batch_size=size, batch_delay_ms=delay)
    made = services.build(read(rendered, tmp_path), wish)
    assert without_owner(made) == without_owner(rendered.one("InferenceService", "cnn"))
    there = {**made, "metadata": {**made["metadata"], "uid": "u", "generation": 1}}
    assert services.parse(there).options == wish.options


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"rate": 0.1}, (0.1, True, None)),
        ({"rate": 1, "answers": False, "retentionDays": 30}, (1.0, False, 30)),
        ({"rate": 0.5, "answers": None, "retentionDays": None}, (0.5, True, None)),
        (None, (0.0, True, None)),
    ],
    ids=str,
)
def test_the_api_reads_what_the_values_say_of_recording(
    given: dict[str, Any] | None, read: tuple[float, bool, int | None]
) -> None:
    services = import_module("metadata_api.deploying.kserve.inference_services")
    there = rendered_with("default", "torchserve", {}, recording=given).one("InferenceService", "cnn")
    there["metadata"] |= {"uid": "u", "generation": 1}
    base = import_module("metadata_api.deploying.base")
    assert services.parse(there).recording == base.Recording(*read)


def test_pods_have_the_time_of_the_installation_from_both(tmp_path: Path) -> None:
    one = {"experiment": "cnn-baseline", "version": 3, "sha256": DIGEST, "runtime": "native", "replicas": 2}
    rendered = render({"serving": {"responseSeconds": 300}, "experiments": {"cnn": one}})
    build = import_module("metadata_api.deploying.kserve.inference_services").build
    made = build(read(rendered, tmp_path), desired("native", {}))
    assert made["spec"]["predictor"]["terminationGracePeriodSeconds"] == 320
    assert without_owner(made) == without_owner(rendered.one("InferenceService", "cnn"))


@pytest.mark.parametrize(("name", "kind"), [("ingress", "Ingress"), ("gateway", "HTTPRoute")])
def test_a_route_is_the_same_from_both(name: str, kind: str, tmp_path: Path) -> None:
    rendered = rendered_with(name, "torchserve", {})
    build = import_module("metadata_api.deploying.kserve.routes").build
    made = build(read(rendered, tmp_path), desired("torchserve", {}), "uid")
    assert without_owner(made) == without_owner(rendered.one(kind, "cnn-v2"))


@pytest.mark.parametrize(
    ("name", "mode"), [("default", "none"), ("ingress", "ingress"), ("gateway", "gateway")]
)
def test_the_role_has_exactly_the_verbs_that_the_api_uses(name: str, mode: str) -> None:
    rules = import_module("metadata_api.deploying.kserve.rules").RULES[mode]
    (role,) = render(shape(name)).kind("Role")

    def flat(found: list[Object]) -> set[tuple[str, str, str]]:
        return {(r["apiGroups"][0], r["resources"][0], verb) for r in found for verb in r["verbs"]}

    assert flat(role["rules"]) == flat(rules)


def test_the_api_reads_every_shape(tmp_path: Path) -> None:
    for name in ("default", "path", "gateway", "mirror", "s3-role", "object-store"):
        assert read(render(shape(name)), tmp_path).release == "marina"
