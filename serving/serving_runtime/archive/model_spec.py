"""The model spec, `model.yaml`: what the model is called, takes and gives.

Read by the trainer, the packer, the v2 front and the metadata API; imports neither torch nor numpy.
"""

import re
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import yaml

from serving_runtime.archive import spec_fields, tensor_spec
from serving_runtime.archive.spec_fields import ModelSpecError
from serving_runtime.archive.tensor_kinds import TensorSpec
from serving_runtime.contracts import NAME

__all__ = ["MAX_BYTES", "ModelSpec", "ModelSpecError", "Parameter", "load_yaml", "parse"]

MAX_BYTES = 64 * 1024
_NETWORK = re.compile(r"([a-z][a-z0-9_-]{0,39})?")
_PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_. -]{0,63}")

Parameter = float | int | str | bool


@dataclass(frozen=True)
class ModelSpec:
    """What `model.yaml` says. `network`, `dataset`, `parameters` and `seed` matter to the trainer only.

    `environment` and `task` are empty where it leaves them out.
    """

    name: str
    description: str
    network: str
    labels: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: dict[str, Parameter] = field(default_factory=dict)
    seed: int = 0
    dataset: str = ""
    environment: str = ""
    task: str = ""


def parse(text: str | bytes) -> ModelSpec:
    """Read a model spec from YAML text (UTF-8, at most 64 KiB). Raises ModelSpecError."""
    fields = spec_fields.mapping(
        load_yaml(text, "the model spec"),
        "the model spec",
        required=("name", "inputs", "outputs"),
        known=_SPEC_KEYS,
    )
    labels = spec_fields.label_texts(fields.get("labels", []), "labels")
    return ModelSpec(
        name=spec_fields.match(fields["name"], "name", NAME, _NAME_SHAPE),
        description=spec_fields.line(fields.get("description", ""), "description"),
        network=spec_fields.match(
            fields.get("network", ""), "network", _NETWORK, "the name of a file in networks/"
        ),
        labels=labels,
        inputs=tensor_spec.inputs(fields["inputs"]),
        outputs=tensor_spec.outputs(fields["outputs"], labels),
        parameters=_parameters(fields.get("parameters", {})),
        seed=spec_fields.whole(fields.get("seed", 0), "seed", 0, 2**32 - 1),
        dataset=_optional_name(fields, "dataset"),
        environment=_optional_name(fields, "environment"),
        task=_optional_name(fields, "task"),
    )


_NAME_SHAPE = "lower-case letters, digits and dashes, at most 40"
_SPEC_KEYS = (
    "name",
    "description",
    "environment",
    "task",
    "network",
    "dataset",
    "labels",
    "inputs",
    "outputs",
    "parameters",
    "seed",
)


class _Loader(yaml.SafeLoader):
    """Safe YAML without two traps: keys given twice, one silently lost; aliases, merged without limit."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise ModelSpecError("it uses a YAML alias (*name); write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        counts = Counter(str(key.value) for key, _ in node.value)
        twice = [key for key, count in counts.most_common(1) if count > 1]
        if twice:
            raise ModelSpecError(f"{twice[0][:60]!r} is given twice; keep one of them")
        return super().construct_mapping(node, deep)


def load_yaml(text: str | bytes, what: str) -> object:
    """What a YAML file of an archive says; `what` is how its errors call it. Raises ModelSpecError."""
    if len(text) > MAX_BYTES:
        raise ModelSpecError(f"{what} is longer than {MAX_BYTES} bytes; shorten it")
    try:
        plain = text if isinstance(text, str) else text.decode("utf-8")
        return yaml.load(plain, _Loader)
    except UnicodeDecodeError:
        raise ModelSpecError(f"{what} is not UTF-8 text; save it as UTF-8") from None
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        if isinstance(error, ModelSpecError):
            raise
        raise ModelSpecError(f"{what} is not readable YAML: {' '.join(str(error).split())[:300]}") from None


def _parameters(value: object) -> dict[str, Parameter]:
    if not isinstance(value, dict) or len(value) > 100:
        raise ModelSpecError(
            "parameters must be a mapping of at most 100 names to numbers, texts or true/false"
        )
    return {
        spec_fields.match(key, "a parameter's name", _PARAMETER, "letters, digits, dots, dashes"): _parameter(
            key, item
        )
        for key, item in value.items()
    }


def _parameter(key: object, value: object) -> Parameter:
    if isinstance(value, str):
        return spec_fields.line(value, f"parameters.{key}")
    if isinstance(value, bool):
        return value
    try:
        return spec_fields.number(value, f"parameters.{key}")
    except ModelSpecError as error:
        raise ModelSpecError(f"{error}, a text or true/false") from None


def _optional_name(fields: dict[str, Any], key: str) -> str:
    return spec_fields.match(fields[key], key, NAME, _NAME_SHAPE) if key in fields else ""
