"""Environments: by name, what the code of an archive may import. `build_environment.py` builds and describes them.

`base` is the virtual environment that serving itself runs in; every other one adds packages to it. What is known of an
environment stands in `environment.json`, beside its lock for everybody, and in the environment itself once it is built.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving_runtime.contracts import BASE_ENVIRONMENT, NAME

DESCRIPTION = "environment.json"
_KNOWN = Path(__file__).resolve().parents[1] / "environments"


@dataclass(frozen=True)
class Environment:
    """One environment, with all that it shares with `base`."""

    name: str
    imports: frozenset[str]
    """Top-level names that `import` finds, without those of the standard library."""
    packages: Mapping[str, str]
    """Versions by the packages' normalised names."""
    preload: tuple[str, ...] = ()
    """What the fork server may import for all workers."""
    notes: tuple[str, ...] = ()
    """What was found when it was built, for the log."""

    @property
    def sha256(self) -> str:
        """Of its packages, a line `NAME==VERSION` each in the order of the names: another one can answer otherwise."""
        lines = "".join(f"{name}=={version}\n" for name, version in sorted(self.packages.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


def known() -> dict[str, Environment]:
    """By name, those that this release describes, built or not; `base` is among them."""
    documents = {file.parent.name: _read(file) for file in sorted(_KNOWN.glob(f"*/{DESCRIPTION}"))}
    base = documents.get(BASE_ENVIRONMENT, {})
    return {name: described(name, document, base) for name, document in documents.items()}


def built(folder: Path) -> dict[str, Environment]:
    """By name, `base` and those that are built in `folder`."""
    base = _read(_KNOWN / BASE_ENVIRONMENT / DESCRIPTION)
    found = {BASE_ENVIRONMENT: described(BASE_ENVIRONMENT, base, base)}
    for file in sorted(folder.glob(f"*/{DESCRIPTION}")):
        if NAME.fullmatch(file.parent.name):
            found[file.parent.name] = described(file.parent.name, _read(file), base)
    return found


def described(name: str, document: Mapping[str, Any], base: Mapping[str, Any]) -> Environment:
    """The environment of an `environment.json`; `base` is that of the environment that it shares."""
    return Environment(
        name,
        frozenset({*base.get("imports", ()), *document.get("imports", ())}),
        {**base.get("packages", {}), **document.get("packages", {})},
        tuple(document.get("preload", ())),
        tuple(document.get("notes", ())),
    )


def command(name: str) -> str:
    """What makes an environment on one machine."""
    return f"make environment NAME={name}"


def _read(file: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return document
