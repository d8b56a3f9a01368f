"""`helm upgrade` of a release from before there was authentication: what its values give, and what they are told.

tests/data/first-chart has the default values of that chart, and of its objects what Kubernetes lets nobody change.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, SHAPES, Object, Rejected, Rendered, leaves, render, shape
from tests.conftest import ROOT

FIRST = ROOT / "tests" / "data" / "first-chart"
VALUES: dict[str, Any] = yaml.safe_load((FIRST / "values.yaml").read_text())
# Values that people had of their own and that have to be changed, with what says so.
CHANGED: dict[str, tuple[dict[str, Any], str]] = {
    "resources of an experiment": (
        {
            "experiments": {
                "cnn": {"experiment": "cnn", "version": 1, "resources": {"limits": {"memory": "1Gi"}}}
            }
        },
        "/experiments/cnn/resources",
    ),
    "seconds of a start": ({"serving": {"startSeconds": 300}}, "startSeconds"),
    "verification of a database": (
        {
            "postgres": {"enabled": False},
            "externalDatabase": {"existingSecret": "db", "sslmode": "verify-full"},
        },
        "externalDatabase.ca",
    ),
}


def upgrading() -> str:
    """What the chart's README says of it."""
    return (CHART / "README.md").read_text().partition("## Upgrading")[2].partition("\n## ")[0]


@pytest.mark.parametrize("name", ["default", *SHAPES])
def test_the_values_of_every_shape_are_taken_with_the_defaults_of_now(name: str) -> None:
    """What --reset-then-reuse-values does: the shapes are the same as then, but for what CHANGED and the README say."""
    values = shape(name)
    values.pop("auth", None)
    if name == "mirror":
        values["experiments"]["cnn"].pop("resources")
    assert render(values).kind("Deployment")


@pytest.mark.parametrize("what", CHANGED)
def test_values_that_have_to_be_changed_are_named(what: str) -> None:
    values, words = CHANGED[what]
    with pytest.raises(Rejected, match=re.escape(words)):
        render(values)


def test_values_that_are_gone_or_changed_stand_in_the_readme() -> None:
    now = yaml.safe_load((CHART / "values.yaml").read_text())
    gone = set(leaves(VALUES)) - set(leaves(now))
    for path in gone:
        *parents, name = path.split(".")
        assert f"`{name}` of `{'.'.join(parents)}`" in upgrading(), path
    for path in ("experiments.NAME.resources", "externalDatabase.ca.existingSecret", "allowedHosts"):
        assert f"`{path}`" in upgrading(), path


def test_the_values_of_then_alone_are_rejected_before_anything_is_changed(tmp_path: Path) -> None:
    """What --reuse-values does: the defaults of then, with none of the values that are new."""
    chart = tmp_path / "marina"
    shutil.copytree(CHART, chart)
    shutil.copy(FIRST / "values.yaml", chart / "values.yaml")
    with pytest.raises(Rejected, match="auth"):
        render(chart=chart)
    assert "--reset-then-reuse-values" in upgrading()


@pytest.mark.parametrize("name", ["default", "ha", "object-store"])
def test_what_kubernetes_lets_nobody_change_is_the_same(name: str) -> None:
    then = json.loads((FIRST / "unchangeable.json").read_text())[name]
    assert unchangeable(render(shape(name))) == then


def unchangeable(rendered: Rendered) -> dict[str, Any]:
    """Object -> the fields that no upgrade may change."""
    found = {}
    for item in rendered.objects:
        fields = _fields(item)
        if fields is not None:
            found[f"{item['kind']} {item['metadata']['name']}"] = fields
    return found


def _fields(item: Object) -> Any:
    match item["kind"]:
        case "Deployment":
            return item["spec"]["selector"]
        case "StatefulSet":
            names = ("selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy")
            return {name: item["spec"].get(name) for name in names}
        case "PersistentVolumeClaim":
            return item["spec"]
        case "RoleBinding":
            return item["roleRef"]
        case "Service":
            return item["spec"].get("clusterIP", "")
    return None
