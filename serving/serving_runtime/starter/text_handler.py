"""Short texts: the model behind TorchServe, which answers whole batches.

A frozen copy lies in every archive of texts that we build, with the modules that it imports. TorchServe demands
exactly one class in this file.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING or __package__:
    from .base_handler import BaseHandler
else:  # in an unpacked archive, whose folder TorchServe puts on the path
    from base_handler import BaseHandler

LENGTH = 48
"""Characters of a text that the network gets; the rest is cut off."""
CHARACTERS = 512
"""Different ones; others count as the last. 0 is the end of the text."""

Array = npt.NDArray[Any]


class Handler(BaseHandler):
    """Texts in, a label and the probabilities of all labels out.

    In a plain TorchServe request a text is UTF-8.
    """

    input_name = "text"

    def example(self) -> Array:
        return to_network([str(self.spec["inputs"][0].get("example", "example"))])

    def read(self, body: object) -> Array:
        if not isinstance(body, str | bytes | bytearray | memoryview):
            raise ValueError("the body must be a text in UTF-8")
        text = np.empty(1, dtype=object)
        text[0] = body if isinstance(body, str) else bytes(body)
        return text

    def predict(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Answer a whole batch.

        inputs["text"]: object [n] of UTF-8 bytes. Gives probabilities float32 [n,labels] and label object [n] of str.
        Raises ValueError with a readable reason if a text cannot be read.
        """
        texts = [_text(item) for item in self.given(inputs).reshape(-1)]
        return self.named(self.predictor.predict(to_network(texts)))


def to_network(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """What the network gets: int64 [n, 48] of the characters' numbers, in lower case."""
    numbers = np.zeros((len(texts), LENGTH), np.int64)
    for at, text in enumerate(texts):
        found = [min(ord(character), CHARACTERS - 1) for character in text.strip().lower()[:LENGTH]]
        numbers[at, : len(found)] = found
    return numbers


def _text(item: object) -> str:
    try:
        text = item.decode() if isinstance(item, bytes) else str(item)
    except UnicodeDecodeError:
        raise ValueError("the text is not UTF-8") from None
    if not text.strip():
        raise ValueError("the text is empty")
    return text
