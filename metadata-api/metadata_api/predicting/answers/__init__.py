"""Kinds of answers, one module each: to add a kind is to add its module here, and nothing else."""

import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import cast

from metadata_api.predicting.base import Answer, AnswerKind, Outputs
from serving_runtime.archive.tensor_kinds import TensorSpec

RAW = "raw"


@cache
def kinds() -> Mapping[str, AnswerKind]:
    """Every kind by its name."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    return {name: cast(AnswerKind, import_module(f"{__name__}.{name}")) for name in names}


def kind_of(specs: Sequence[TensorSpec]) -> str:
    """The kind of answer that a model with these outputs gives."""
    known = [spec.kind for spec in specs if spec.kind in kinds()]
    return min(known, key=lambda kind: kinds()[kind].RANK, default=RAW)


def read(outputs: Outputs) -> Answer:
    """The answer of a model; raises ValueError when it cannot be read."""
    kind = kind_of(outputs.specs)
    if kind != RAW and outputs.of_kind(kind) is None:
        raise ValueError(f"it has no output of kind {kind}, which its version names")
    return kinds()[kind].read(outputs)
