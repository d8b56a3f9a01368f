"""Rows of a table: the model behind TorchServe, which answers whole batches.

A frozen copy lies in every archive of a table that we build, with the modules that it imports. TorchServe demands
exactly one class in this file.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING or __package__:
    from .base_handler import BaseHandler, from_json
else:  # in an unpacked archive, whose folder TorchServe puts on the path
    from base_handler import BaseHandler, from_json

Array = npt.NDArray[Any]


class Handler(BaseHandler):
    """Rows in; a label and the probabilities of all labels out, or a number.

    In a plain TorchServe request a row is a JSON object of its columns, or a list of its numbers.
    """

    input_name = "row"

    def example(self) -> Array:
        return np.array([[_example(column) for column in self._columns]], np.float32)

    def read(self, body: object) -> Array:
        value = from_json(body)
        names = [column["name"] for column in self._columns]
        if isinstance(value, dict):
            missing = [name for name in names if name not in value]
            if missing or len(value) > len(names):
                raise ValueError(f"the row must have exactly the columns {', '.join(names)}")
            value = [_number(value[column["name"]], column) for column in self._columns]
        if not isinstance(value, list) or len(value) != len(names):
            raise ValueError(f"the body must be the JSON of one row with the columns {', '.join(names)}")
        if not all(type(item) in (int, float) for item in value):
            raise ValueError("the values of a row must be numbers, or one of the column's categories")
        return np.array([value], np.float32)

    def predict(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Answer a whole batch.

        inputs["row"]: float32 [n,columns]; a column with categories holds the index of one. Gives probabilities float32
        [n,labels] and label object [n] of str, or a number float32 [n]. Raises ValueError with a readable reason.
        """
        rows = self.given(inputs)
        if not np.isfinite(rows).all():
            raise ValueError("the numbers of a row must be finite")
        for at, column in enumerate(self._columns):
            if categories := column.get("categories"):
                found = rows[:, at]
                if not ((found >= 0) & (found < len(categories)) & (found == np.floor(found))).all():
                    raise ValueError(f"{column['name']} must be the index of one of {', '.join(categories)}")
        return self.named(self.predictor.predict(rows))

    @property
    def _columns(self) -> list[dict[str, Any]]:
        columns: list[dict[str, Any]] = self.spec["inputs"][0]["columns"]
        return columns


def _example(column: dict[str, Any]) -> float:
    value = _number(column.get("example", column.get("minimum", 0)), column)
    return float(value) if isinstance(value, int | float) else 0.0


def _number(value: Any, column: dict[str, Any]) -> Any:
    """The value, and for one of the column's categories its index."""
    categories = column.get("categories", [])
    return categories.index(value) if value in categories else value
