"""The values of the release: those it was installed with, or those that `make deploy` would give it."""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Values = dict[str, Any]
ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "marina"
# Longest prefix of names, as the chart cuts it.
LONGEST_PREFIX = 40


@dataclass(frozen=True, slots=True)
class Release:
    """A release of the chart, installed or not."""

    name: str
    namespace: str
    values: Values
    status: str = ""
    """Helm's word, such as `deployed` or `pending-install`; empty when nothing is installed."""

    @property
    def installed(self) -> bool:
        """Whether Helm has installed it, or tried to."""
        return self.status not in ("", "uninstalled")

    @property
    def prefix(self) -> str:
        """Beginning of its objects' names, and their label `app.kubernetes.io/instance`."""
        name = self.values.get("nameOverride") or "marina"
        given = self.values.get("fullnameOverride") or ""
        full = given or (self.name if name in self.name else f"{self.name}-{name}")
        if len(full) <= LONGEST_PREFIX:
            return str(full)
        return f"{full[:31].removesuffix('-')}-{hashlib.sha256(full.encode()).hexdigest()[:8]}"


def of_files(files: Iterable[Path]) -> Values:
    """The chart's defaults under the given files. Raises OSError or ValueError for a file that cannot be read."""
    values: Values = {}
    for file in (CHART / "values.yaml", *files):
        try:
            given = yaml.safe_load(file.read_text()) or {}
        except yaml.YAMLError as error:
            raise ValueError(f"{file} is no YAML: {error}") from error
        if not isinstance(given, dict):
            raise ValueError(f"{file} is no values file")
        values = _merged(values, given)
    return values


def of_helm(name: str, namespace: str, secrets: Iterable[Any], planned: Values) -> Release:
    """The release by Helm's own Secrets; `planned` are the values of one that is not installed."""
    by_revision = sorted(secrets, key=lambda secret: int(secret.metadata.labels.get("version", 0)))
    if not by_revision:
        return Release(name, namespace, planned)
    newest = by_revision[-1]
    packed = base64.b64decode(base64.b64decode(newest.data["release"]))
    stored = json.loads(gzip.decompress(packed))
    values = _merged(stored["chart"].get("values") or {}, stored.get("config") or {})
    return Release(name, namespace, values, status=str(newest.metadata.labels.get("status", "deployed")))


def _merged(under: Values, over: Values) -> Values:
    """As Helm merges: maps key by key, everything else as a whole, and null takes a key out."""
    merged = deepcopy(under)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = deepcopy(value)
    return merged
