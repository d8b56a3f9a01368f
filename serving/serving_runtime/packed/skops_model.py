"""A model of scikit-learn from a file of skops, which holds no pickle.

Its frozen copy needs skops, and pandas for models that want columns by name.
Types that skops does not trust by itself are loaded only if whoever packed the model named them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import skops.io

Array = npt.NDArray[Any]


class SkopsModel:
    """One array in: rows of numbers or texts [n, columns], or texts [n]. Answers by name out."""

    def __init__(self, folder: Path, packing: dict[str, Any], inputs: list[dict[str, Any]]) -> None:
        """Raises what skops raises, among it for a type that is not trusted."""
        self._model = skops.io.load(folder / packing["file"], trusted=packing["trusted"])
        self._labels = dict(zip(self.classes or [], packing["labels"], strict=False))
        self._input = inputs[0]
        self._is_text = inputs[0].get("kind") == "text"
        self._by_name = hasattr(self._model, "feature_names_in_") or any(
            "categories" in column for column in inputs[0].get("columns", [])
        )

    def prepare(self, _example: Callable[[], list[Array]]) -> None:
        """Nothing: there is one way to run it."""

    def __call__(self, arrays: list[Array]) -> dict[str, Array]:
        """`probabilities` float32 and `label`, only `label`, or `output`, whichever the model has."""
        rows = self._rows(arrays[0])
        model = self._model
        if hasattr(model, "predict_proba"):
            return {"probabilities": np.asarray(model.predict_proba(rows), np.float32)}
        found = np.asarray(model.predict(rows))
        if hasattr(model, "classes_"):
            names = [self._labels.get(str(one), str(one)) for one in found]
            return {"label": np.array(names, dtype=object)}
        return {"output": found.astype(np.float32) if found.dtype.kind == "f" else found}

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes, None for a model without."""
        found = getattr(self._model, "classes_", None)
        return None if found is None or isinstance(found, list) else [str(one) for one in found]

    @property
    def features(self) -> list[str] | None:
        """The names of the columns that it was trained on, None for a model that was given none."""
        found = getattr(self._model, "feature_names_in_", None)
        return None if found is None else [str(one) for one in found]

    def _rows(self, given: Array) -> Any:
        if self._is_text:
            return list(given.reshape(-1))
        if not self._by_name or "columns" not in self._input:
            return given.astype(np.float64) if given.dtype == np.float32 else given
        import pandas

        return pandas.DataFrame(
            {
                column["name"]: _column(given[:, at], column)
                for at, column in enumerate(self._input["columns"])
            }
        )


def _column(values: Array, column: dict[str, Any]) -> Array:
    """One column; a category travels as its index where the row is of numbers, NaN is missing. Raises ValueError."""
    categories = column.get("categories")
    if values.dtype == np.object_ or not categories:
        return values if categories else values.astype(np.float64)
    missing = np.isnan(values)
    at = np.where(missing, 0, np.rint(values)).astype(int)
    if ((at < 0) | (at >= len(categories))).any():
        raise ValueError(
            f"{column['name']} must be the number of one of its {len(categories)} categories, from 0"
        )
    found: Array = np.array(categories, dtype=object)[at]
    found[missing] = np.nan
    return found
