"""Renders the chart in this process, and looks into what comes out."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart
from helm_python.errors import HelmError

from tests.conftest import ROOT

CHART = ROOT / "charts" / "marina"
SHAPES = {path.name.removesuffix("-values.yaml"): path for path in sorted(CHART.glob("ci/*-values.yaml"))}
# What Helm and Kubernetes know of themselves; everything else comes from KServe, Gateway API and Prometheus.
BUILT_IN = ("apps/", "batch/", "autoscaling/", "policy/", "networking.k8s.io/", "rbac.")
Object = dict[str, Any]


class Rejected(Exception):
    """The chart does not render; the text is what a person reads."""


class Loader(yaml.CSafeLoader):
    """Refuses a key that stands twice in one map, as the API server does; PyYAML takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key stands twice: {keys} {node.start_mark}"
        return super().construct_mapping(node, deep=deep)


class Rendered:
    """The objects of one rendering."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = texts
        self.notes = next((text for path, text in texts.items() if path.endswith("NOTES.txt")), "")
        self.objects: list[Object] = []
        for path, text in texts.items():
            if not path.endswith("NOTES.txt"):
                self.objects += [found for found in yaml.load_all(text, Loader) if found is not None]

    def kind(self, kind: str) -> list[Object]:
        """All objects of a kind."""
        return [found for found in self.objects if found["kind"] == kind]

    def one(self, kind: str, name: str) -> Object:
        """The only object of this kind and name."""
        (found,) = [found for found in self.kind(kind) if found["metadata"]["name"] == name]
        return found

    def pods(self) -> Iterator[tuple[str, Object]]:
        """Every pod that the chart makes or lets others make: what it is of, and its spec."""
        for found in self.objects:
            name = f"{found['kind']} {found['metadata']['name']}"
            spec = found.get("spec", {})
            match found["kind"]:
                case "Pod" | "ServingRuntime":
                    yield name, spec
                case "Deployment" | "StatefulSet" | "Job":
                    yield name, spec["template"]["spec"]
                case "CronJob":
                    yield name, spec["jobTemplate"]["spec"]["template"]["spec"]

    def labels_of(self, part: str) -> dict[str, str]:
        """Labels of the pods of a part, such as "ui"."""
        for found in self.objects:
            metadata = found.get("spec", {}).get("template", {}).get("metadata")
            if found["kind"] == "Pod":
                metadata = found["metadata"]
            if found["kind"] == "CronJob":
                metadata = found["spec"]["jobTemplate"]["spec"]["template"]["metadata"]
            if metadata and metadata["labels"]["app.kubernetes.io/component"] == part:
                labels: dict[str, str] = metadata["labels"]
                return labels
        raise AssertionError(f"no pod of {part}")

    def containers(self) -> Iterator[tuple[str, Object]]:
        """Every container of every pod."""
        for name, pod in self.pods():
            for container in [*pod.get("initContainers", []), *pod["containers"]]:
                yield f"{name}: {container['name']}", container


def render(
    values: Mapping[str, Any] | None = None,
    *,
    name: str = "marina",
    namespace: str = "models",
    chart: Path = CHART,
    again: bool = False,
) -> Rendered:
    """What the chart makes of values; the same question is answered once, unless it is asked `again`.

    Raises Rejected with Helm's message.
    """
    ask = _render.__wrapped__ if again else _render
    return ask(json.dumps(values or {}), name, namespace, chart)


@cache
def _render(values: str, name: str, namespace: str, chart: Path) -> Rendered:
    try:
        with Chart.load(chart) as loaded:
            return Rendered(loaded.render(json.loads(values), name=name, namespace=namespace))
    except HelmError as error:
        raise Rejected(str(error)) from None


def shape(name: str) -> dict[str, Any]:
    """Values of one of the supported shapes; "default" has none."""
    return {} if name == "default" else yaml.safe_load(SHAPES[name].read_text())


def environment(container: Object) -> dict[str, Any]:
    """Variables of a container: the value, or the reference that it comes from."""
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container.get("env", [])}


def leaves(values: Any, path: str = "") -> Iterator[str]:
    """Dotted paths of all leaves; an empty map is one."""
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from leaves(value, f"{path}.{key}" if path else key)
    else:
        yield path
