"""The model spec, `model.yaml`: what the model is called, takes and gives.

Read by the trainer, the packer, the v2 front and the metadata API; imports neither torch nor numpy.
"""

import math
import re
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import yaml

from serving_runtime.contracts import DATATYPES, NAME

MAX_BYTES = 64 * 1024
_NETWORK = re.compile(r"([a-z][a-z0-9_-]{0,39})?")
_TENSOR = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_. -]{0,63}")

Parameter = float | int | str | bool


class ModelSpecError(ValueError):
    """The model spec cannot be used; the text says which line or key and what to write instead."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output: v2 datatype, and shape with -1 for the batch (always the first dimension).

    `accepts` lists every datatype that an input may come in; it always holds `datatype`.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    accepts: tuple[str, ...]


PLAIN_INPUTS = (TensorSpec("data", "BYTES", (-1,), ("BYTES",)),)
PLAIN_OUTPUTS = (TensorSpec("result", "BYTES", (-1,), ("BYTES",)),)
"""What a model without a spec takes and gives: one element is what TorchServe's handlers get as a body."""


@dataclass(frozen=True)
class ModelSpec:
    """What `model.yaml` says. `network`, `parameters` and `seed` matter to the trainer only."""

    name: str
    description: str
    network: str
    labels: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: dict[str, Parameter] = field(default_factory=dict)
    seed: int = 0


def parse(text: str | bytes) -> ModelSpec:
    """Read a model spec from YAML text (UTF-8, at most 64 KiB). Raises ModelSpecError."""
    fields = _mapping(
        load_yaml(text, "the model spec"),
        "the model spec",
        required=("name", "inputs", "outputs"),
        known=_SPEC_KEYS,
    )
    return ModelSpec(
        name=_match(fields["name"], "name", NAME, "lower-case letters, digits and dashes, at most 40"),
        description=_line(fields.get("description", ""), "description"),
        network=_match(fields.get("network", ""), "network", _NETWORK, "the name of a file in networks/"),
        labels=_labels(fields.get("labels", [])),
        inputs=_tensors(fields["inputs"], "inputs", inputs=True),
        outputs=_tensors(fields["outputs"], "outputs", inputs=False),
        parameters=_parameters(fields.get("parameters", {})),
        seed=_whole(fields.get("seed", 0), "seed", 0, 2**32 - 1),
    )


_SPEC_KEYS = ("name", "description", "network", "labels", "inputs", "outputs", "parameters", "seed")


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


def _mapping(
    value: object, where: str, *, required: tuple[str, ...], known: tuple[str, ...]
) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ModelSpecError(f"{where} must be a mapping with the keys {', '.join(required)}")
    strange = sorted(str(key) for key in value if key not in known)
    if strange:
        raise ModelSpecError(f"{where} has the unknown key {strange[0][:60]!r}; known are {', '.join(known)}")
    missing = [key for key in required if key not in value]
    if missing:
        raise ModelSpecError(f"{where} has no {missing[0]!r}; add it")
    return value


def _tensors(value: object, where: str, *, inputs: bool) -> tuple[TensorSpec, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= 16:
        raise ModelSpecError(f"{where} must be a list of 1 to 16 tensors")
    tensors = tuple(_tensor(item, f"{where}[{at}]", inputs) for at, item in enumerate(value))
    names = [tensor.name for tensor in tensors]
    if len(set(names)) < len(names):
        raise ModelSpecError(f"{where} has two tensors with one name; rename one")
    return tensors


def _tensor(value: object, where: str, is_input: bool) -> TensorSpec:
    known = ("name", "datatype", "shape", "accepts") if is_input else ("name", "datatype", "shape")
    fields = _mapping(value, where, required=("name", "datatype", "shape"), known=known)
    datatype = _datatype(fields["datatype"], f"{where}.datatype")
    accepts = fields.get("accepts", [datatype])
    if not isinstance(accepts, list) or len(accepts) > len(DATATYPES) or datatype not in accepts:
        raise ModelSpecError(f"{where}.accepts must be a list of datatypes that holds {datatype}")
    return TensorSpec(
        name=_match(fields["name"], f"{where}.name", _TENSOR, "letters, digits, dots, dashes, at most 64"),
        datatype=datatype,
        shape=_shape(fields["shape"], f"{where}.shape"),
        accepts=tuple(_datatype(item, f"{where}.accepts") for item in accepts),
    )


def _shape(value: object, where: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= 8 or value[0] != -1:
        raise ModelSpecError(f"{where} must be a list of 1 to 8 numbers that starts with -1, the batch")
    return (-1, *(_whole(item, where, 1, 1_000_000) for item in value[1:]))


def _datatype(value: object, where: str) -> str:
    if not isinstance(value, str) or value not in DATATYPES:
        raise ModelSpecError(f"{where} must be one of {', '.join(DATATYPES)}")
    return value


def _labels(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > 10_000:
        raise ModelSpecError('labels must be a list of texts, such as ["0", "1"]')
    labels = tuple(_line(item, "labels", longest=200) for item in value)
    if len(set(labels)) < len(labels):
        raise ModelSpecError("labels names one class twice; give each class its own label")
    return labels


def _parameters(value: object) -> dict[str, Parameter]:
    if not isinstance(value, dict) or len(value) > 100:
        raise ModelSpecError(
            "parameters must be a mapping of at most 100 names to numbers, texts or true/false"
        )
    return {
        _match(key, "a parameter's name", _PARAMETER, "letters, digits, dots, dashes"): _parameter(key, item)
        for key, item in value.items()
    }


def _parameter(key: object, value: object) -> Parameter:
    if isinstance(value, str):
        return _line(value, f"parameters.{key}")
    fits = isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63)
    if not fits or not isinstance(value, bool | int | float) or not math.isfinite(value):
        raise ModelSpecError(f"parameters.{key} must be a finite number, a text or true/false")
    return value


def _line(value: object, where: str, longest: int = 500) -> str:
    if not isinstance(value, str) or len(value) > longest or not (value.isprintable() or not value):
        raise ModelSpecError(f"{where} must be one line of text (in quotes) of at most {longest} characters")
    return value


def _match(value: object, where: str, pattern: re.Pattern[str], shape: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ModelSpecError(f"{where} must be {shape}")
    return value


def _whole(value: object, where: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ModelSpecError(f"{where} must be a whole number from {least} to {most}")
    return value
