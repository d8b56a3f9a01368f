"""Kinds of inputs, one module each: to add a kind is to add its module here, and nothing else."""

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import cast

from metadata_api.predicting.base import InputKind


@cache
def kinds() -> Mapping[str, InputKind]:
    """Every kind by its name."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    return {name: cast(InputKind, import_module(f"{__name__}.{name}")) for name in names}
