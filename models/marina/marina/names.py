"""Names of experiments and deployments: DNS labels."""

import re
from typing import Any

from marina.errors import WrongUse

NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")


def checked_name(name: Any, complaint: str) -> str:
    """A name that the API takes. Raises WrongUse with the complaint and the rule."""
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise WrongUse(f"{complaint}, with a-z, 0-9 and -, a letter first and at most 40 in all")
    return name


def typed_name(word: str) -> str:
    """A name that was typed, as it may stand in an address. Raises WrongUse."""
    return checked_name(word, f"{word!r} is no name: write one")
