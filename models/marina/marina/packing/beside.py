"""The files that go beside a model file: its network and its tokenizer, and the environment that they need."""

import json
from pathlib import Path

from marina.errors import WrongUse
from marina.packing import formats
from marina.packing.example import Example
from marina.packing.formats import ModelFile
from serving_runtime import environments
from serving_runtime.archive import needs
from serving_runtime.archive.needs import Needs
from serving_runtime.contracts import BASE_ENVIRONMENT

NETWORK, TOKENIZER = "network.py", "tokenizer.json"
"""What they are called in the archive."""


def check_network(model: ModelFile, network: Path | None) -> None:
    """Raise WrongUse when the file of a network is missing, or of no use."""
    if model.classes and network is None:
        raise formats.pickled(model.path, model.classes)
    if model.needs_network and network is None:
        raise WrongUse(
            f"{model.path} has weights only: name the file of their network by --network; "
            "its class Network takes no arguments"
        )
    if network is not None and not network.is_file():
        raise WrongUse(f"{network} cannot be read: name the file with the class Network")
    if network is not None and not model.needs_network:
        raise WrongUse(f"{model.path} has its network in it: leave --network out")


def check_tokenizer(model: ModelFile, given: Example, tokenizer: Path | None) -> None:
    """Raise WrongUse when a tokenizer is of no use, or is none."""
    if tokenizer is None:
        return
    if model.form in ("skops", "onnx"):
        raise WrongUse(f"{model.path} takes texts as they are, or not at all: leave --tokenizer out")
    if given.kind != "text":
        raise WrongUse("a tokenizer is for texts: give one as the example, in a file .txt")
    try:
        found = json.loads(tokenizer.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise WrongUse(f"{tokenizer} cannot be read: name a tokenizer.json") from error
    if not isinstance(found, dict) or "model" not in found:
        raise WrongUse(
            f"{tokenizer} is no tokenizer.json: where the model was trained, AutoTokenizer's save_pretrained writes it"
        )


def environment_of(network: Path | None, tokenizer: Path | None) -> str | None:
    """The smallest environment that has what the code imports; None for the usual one. Raises WrongUse."""
    code = network.read_bytes() if network else b""
    imports = {"tokenizers"} if tokenizer else set()
    if network:
        imports |= needs.of_code([NETWORK], frozenset({NETWORK}), lambda _: code)
    known = environments.known()
    found = needs.smallest(Needs(frozenset(imports)), known.values())
    if found is None:
        strange = Needs(frozenset(imports)).missing(known[BASE_ENVIRONMENT])
        raise WrongUse(
            f"{network or 'the model'} imports {', '.join(strange)}, which no environment has: make one, as "
            "docs/models.md says"
        )
    return None if found.name == BASE_ENVIRONMENT else found.name
