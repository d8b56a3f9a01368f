"""Holds the objects of the simulated Kubernetes against the schemas of the real one.

Those of pods and Ingresses are Kubernetes' own. Those of InferenceServices and HTTPRoutes are the CRDs of KServe and
Gateway API, in tests/data/crds without descriptions; of a predictor's fields they know those that Marina may write.
"""

import json
from functools import cache
from typing import Any

import kubernetes_validate
from jsonschema import Draft202012Validator

from tests.conftest import ROOT
from tests.contract import closed

Json = dict[str, Any]
CRDS = ROOT / "tests" / "data" / "crds"
KUBERNETES = "1.34"
BUILT_IN = {
    "pods": ("v1", "Pod"),
    "ingresses": ("networking.k8s.io/v1", "Ingress"),
    "secrets": ("v1", "Secret"),
}


def faults(plural: str, item: Json) -> list[str]:
    """What the real API server would not take of an object, or would never show, as lines."""
    metadata = {"name": "any", "labels": item["metadata"].get("labels", {})}
    return list(_faults(plural, json.dumps({**item, "metadata": metadata}, sort_keys=True)))


@cache
def _faults(plural: str, text: str) -> tuple[str, ...]:
    item = json.loads(text)
    if plural in BUILT_IN:
        version, kind = BUILT_IN[plural]
        try:
            kubernetes_validate.validate(
                {**item, "apiVersion": version, "kind": kind}, KUBERNETES, strict=True
            )
        except kubernetes_validate.ValidationError as error:
            return (f"{plural}: {list(error.path)}: {error.message[:300]}",)
        return ()
    return tuple(
        f"{plural}: {error.json_path}: {error.message[:300]}" for error in _crd(plural).iter_errors(item)
    )


@cache
def _crd(plural: str) -> Draft202012Validator:
    schema = closed(json.loads((CRDS / f"{plural}.json").read_text()))
    schema["properties"]["metadata"] = {"type": "object"}
    return Draft202012Validator(schema)
