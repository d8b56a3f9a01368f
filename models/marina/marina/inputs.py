"""What `ask` sends: an image file, a text, a row of named values or tensors, and who shall be asked."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marina import files
from marina.errors import WrongUse

MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class PredictionRequest:
    """One input: either the bytes of an image, or one entry of a JSON body."""

    image: tuple[str, bytes] | None = None
    entry: tuple[str, Any] | None = None

    def content(self, targets: dict[str, list[str]], deadline_ms: int | None) -> dict[str, Any]:
        """The request as httpx takes it; `targets` lists names under deployments, aliases, experiments."""
        options: dict[str, Any] = {key: names for key, names in targets.items() if names}
        if deadline_ms is not None:
            options["deadline_ms"] = deadline_ms
        if self.image:
            return {"files": {"image": self.image}, "data": options}
        assert self.entry
        key, value = self.entry
        return {"json": {key: value, **options}}


def request_of(words: Sequence[str], text: str | None, tensors: Path | None) -> PredictionRequest:
    """The one input that the arguments of `ask` name. Raises WrongUse.

    Words are a file (an image; tensors in a .json; a text in a .txt) or NAME=VALUE, as many as the row has.
    """
    if (text is not None) + (tensors is not None) + bool(words) != 1:
        raise WrongUse("name one input: a FILE, a row as NAME=VALUE ..., --text TEXT or --tensors FILE.json")
    if text is not None:
        return PredictionRequest(entry=("text", text))
    if tensors is not None:
        return PredictionRequest(entry=("tensors", _tensors(tensors)))
    if len(words) == 1 and ("=" not in words[0] or Path(words[0]).is_file()):
        return _file(Path(words[0]))
    return PredictionRequest(entry=("row", _row(words)))


def _file(path: Path) -> PredictionRequest:
    match path.suffix.lower():
        case ".json":
            return PredictionRequest(entry=("tensors", _tensors(path)))
        case ".txt":
            try:
                return PredictionRequest(entry=("text", _read(path).decode()))
            except UnicodeError as error:
                raise WrongUse(f"{path} is not UTF-8 text: save it as UTF-8") from error
    return PredictionRequest(image=(path.name, _read(path)))


def _row(words: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not (sign and name):
            raise WrongUse(f"{word!r} is no value of a row: write NAME=VALUE")
        if name in row:
            raise WrongUse(f"{name} is given twice: give it once")
        row[name] = _value(value)
    return row


def _value(word: str) -> Any:
    """A number if it is one that JSON has, else the text."""
    try:
        found = json.loads(word)
    except ValueError:
        return word
    return found if type(found) in (int, float) and abs(found) < float("inf") else word


def _tensors(path: Path) -> list[Any]:
    """The tensors of a file: a list, or a v2 request with `inputs`."""
    try:
        found = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise WrongUse(f"{path} is no JSON: write a list of tensors, or a v2 request") from error
    tensors = found.get("inputs") if isinstance(found, dict) else found
    if not (isinstance(tensors, list) and tensors):
        raise WrongUse(f"{path} has no tensors: write a list of them, or a v2 request with `inputs`")
    return tensors


def _read(path: Path) -> bytes:
    return files.content(path, MAX_BYTES, "name another file")
