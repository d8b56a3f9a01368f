"""What the handlers of all starters share: loading an archive, naming what the network answers, TorchServe's own rows.

A frozen copy lies in every archive that we build, beside the handler that derives from it.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
import yaml

if TYPE_CHECKING or __package__:
    from .predictor import Predictor
else:  # in an unpacked archive, whose folder TorchServe puts on the path
    from predictor import Predictor

Array = npt.NDArray[Any]


class BaseHandler:
    """Rows of one kind of input in; a label and the probabilities of all labels out, or a number."""

    input_name: ClassVar[str]

    def initialize(self, context: Any) -> None:
        """Load the model from the folder that TorchServe names. `context` is TorchServe's."""
        threads = os.environ.get("SERVING_TORCH_THREADS")  # set in every worker, and nowhere else
        torch.set_num_threads(int(threads or 1))
        folder = Path(context.system_properties["model_dir"])
        weights = (context.manifest or {}).get("model", {}).get("serializedFile", "weights.safetensors")
        self.spec: dict[str, Any] = yaml.safe_load((folder / "model.yaml").read_text("utf-8"))
        self.labels = np.array(self.spec.get("labels", []), dtype=object)
        self.predictor = Predictor(
            folder,
            self.example(),
            weights=weights,
            classes=bool(len(self.labels)),
            optimise=threads is not None,
        )

    def example(self) -> Array:
        """One row of what the network gets."""
        raise NotImplementedError

    def read(self, body: object) -> Array:
        """One row of the input from the body of a plain TorchServe request. Raises ValueError."""
        raise NotImplementedError

    def predict(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Answer a whole batch. Raises ValueError with a readable reason if the input cannot be used."""
        raise NotImplementedError

    def given(self, inputs: dict[str, Array]) -> Array:
        """The rows of the only input. Raises ValueError."""
        if self.input_name not in inputs:
            raise ValueError(f"the input {self.input_name!r} is missing")
        rows = inputs[self.input_name]
        if not len(rows):
            raise ValueError(f"the input {self.input_name!r} holds no {self.input_name}")
        return rows

    def named(self, answers: Array) -> dict[str, Array]:
        """What the network answered, as the outputs of the model spec."""
        if len(self.labels):
            return {"probabilities": answers, "label": self.labels[answers.argmax(1)]}
        return {self.spec["outputs"][0]["name"]: answers[:, 0]}

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[dict[str, Any]]:
        """Answer plain TorchServe requests: each row's `body` (or `data`) is one row of the input.

        A row that cannot be used gets the status 400 and an error.
        """
        answers: list[dict[str, Any]] = []
        for at, row in enumerate(data):
            try:
                answers.append(self._answer(row.get("body", row.get("data"))))
            except ValueError as error:
                context.set_response_status(400, "Bad Request", at)
                answers.append({"error": str(error)})
        return answers

    def _answer(self, body: object) -> dict[str, Any]:
        outputs = self.predict({self.input_name: self.read(body)})
        if not len(self.labels):
            return {name: values[0].item() for name, values in outputs.items()}
        shares = outputs["probabilities"][0].tolist()
        return {
            "label": outputs["label"][0],
            "probabilities": dict(zip(self.labels.tolist(), shares, strict=True)),
        }


def from_json(body: object) -> Any:
    """The value of a JSON body, which TorchServe may have read already. Raises ValueError."""
    if isinstance(body, bytes | bytearray | memoryview):
        body = bytes(body).decode("utf-8", "replace")
    try:
        return json.loads(body) if isinstance(body, str) else body
    except (ValueError, RecursionError):
        raise ValueError("the body is not readable as JSON") from None
