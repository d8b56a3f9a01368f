"""What can be filtered, sorted and shown: columns of an experiment, and what it has under metrics, params and tags."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Literal

COLUMNS: Final = ("name", "display_name", "created_at", "source", "state", "task")
SECTIONS: Final = ("metrics", "params", "tags")
DIGEST_BYTES: Final = 6
_PLAIN = re.compile(r"\w[\w./-]*")

Section = Literal["", "metrics", "params", "tags"]


@dataclass(frozen=True)
class Field:
    """One field; `section` is empty for a column, and `part` is empty for all but metrics."""

    section: Section
    name: str
    part: Literal["", "best", "final"] = ""

    @property
    def path(self) -> str:
        """What the database derives the field's keys from; see the migration that makes `experiment_keys_of`."""
        if not self.section:
            return self.name
        return f"{self.section}.{self.name}" + (f".{self.part}" if self.part else "")

    @property
    def digest(self) -> bytes:
        """The first bytes of all keys of this field."""
        return hashlib.sha256(self.path.encode()).digest()[:DIGEST_BYTES]

    @property
    def is_always_there(self) -> bool:
        """Whether every experiment has a value of it; a task comes with the first version."""
        return not self.section and self != TASK

    def __str__(self) -> str:
        """As it is written in a filter; `metrics.loss` for the best value."""
        if not self.section:
            return self.name
        plain = _PLAIN.fullmatch(self.name) and not self.name.endswith((".best", ".final"))
        name = self.name if plain else '"' + re.sub(r'(["\\])', r"\\\1", self.name) + '"'
        return f"{self.section}.{name}" + (".final" if self.part == "final" else "")


TASK: Final = Field("", "task")
CREATED_AT: Final = Field("", "created_at")
NAMES: Final = Field("", "names")
"""Both names of an experiment in small letters, one after the other: only to be searched, and nothing in a filter."""
