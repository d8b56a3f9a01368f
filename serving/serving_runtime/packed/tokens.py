"""Texts as the numbers of their tokens, by a `tokenizer.json`; its frozen copy needs the package tokenizers only."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

Array = npt.NDArray[Any]
PADDING = ("[PAD]", "<pad>", "<|endoftext|>")


class Tokens:
    """Texts in, int64 [n, tokens] of ids and of the mask out; the mask is 1 where a token is no padding."""

    def __init__(self, path: Path, most: int) -> None:
        """`most` is how many tokens of a text are kept, where the file does not say it. Raises ValueError."""
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the package raises nothing narrower
            raise ValueError(f"{path.name} is no file of the package tokenizers: {error}") from error
        if self._tokenizer.truncation is None:
            self._tokenizer.enable_truncation(most)
        self.is_fixed = isinstance((self._tokenizer.padding or {}).get("length"), int)
        """Whether each text gets as many tokens, whatever its length."""
        if self._tokenizer.padding is None:
            known = [one for one in PADDING if self._tokenizer.token_to_id(one) is not None]
            token = known[0] if known else PADDING[0]
            self._tokenizer.enable_padding(pad_id=self._tokenizer.token_to_id(token) or 0, pad_token=token)

    def __call__(self, texts: Sequence[str]) -> list[Array]:
        """Ids and mask of a batch, as long as its longest text. Raises ValueError for a text without a token."""
        found = self._tokenizer.encode_batch(list(texts))
        if not all(any(one.attention_mask) for one in found):
            raise ValueError("the text is empty")
        return [
            np.array([one.ids for one in found], np.int64),
            np.array([one.attention_mask for one in found], np.int64),
        ]
