"""Kinds of inputs, one module each: to add a kind is to add its module here, and nothing else."""

import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import cast

from metadata_api.predicting.base import InputKind, ParsedInput
from serving_runtime.archive.tensor_kinds import TensorSpec
from serving_runtime.protocol.tensors import Tensor

_ANYTHING = "tensors"
"""The kind that a row is when it is no other."""


@cache
def kinds() -> Mapping[str, InputKind]:
    """Every kind by its name."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    return {name: cast(InputKind, import_module(f"{__name__}.{name}")) for name in names}


def of_row(row: Sequence[Tensor], specs: Sequence[TensorSpec]) -> ParsedInput:
    """One row that a model with these inputs was sent, as the kind that people can look at.

    Raises Invalid, TooLarge, UnsupportedMedia for what cannot be kept.
    """
    others = (kind for name, kind in kinds().items() if name != _ANYTHING)
    found = (kind.of_row(row, specs) for kind in (*others, kinds()[_ANYTHING]))
    return next(one for one in found if one is not None)
