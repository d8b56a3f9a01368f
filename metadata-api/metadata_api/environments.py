"""Which environment a version runs in: the one that it names, or the smallest of those here that has what it imports.

Called by `versions` for an upload. On one machine the environments here are those that are built, on a cluster those
that the chart's values list.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metadata_api.errors import Conflict
from serving_runtime import environments
from serving_runtime.archive.needs import Needs, smallest
from serving_runtime.contracts import BASE_ENVIRONMENT
from serving_runtime.environments import Environment


@dataclass(frozen=True)
class Environments:
    """`offered` are those here, `how` says what brings one here that is not, as the end of a sentence."""

    offered: Callable[[], Mapping[str, Environment]]
    how: Callable[[str], str]

    def choose(self, needs: Needs, named: str = "") -> str:
        """The name of the environment; `named` is what the archive says itself. Raises Conflict."""
        offered = self.offered()
        if named:
            if named not in offered:
                raise _missing(
                    f"The archive names the environment {named}, which is not here.", self.how(named)
                )
            return named
        if (found := smallest(needs, offered.values())) is not None:
            return found.name
        known = {**environments.known(), **offered}
        nearest = min(
            offered.values(), key=lambda one: (len(needs.missing(one)), len(one.packages), one.name)
        )
        missing = needs.missing(nearest)
        said = f"The archive needs {', '.join(missing[:20])}, which the environment {nearest.name} does not have."
        if (other := smallest(needs, known.values())) is not None:
            raise _missing(said, self.how(other.name))
        raise _missing(
            f"{said} No other has all that it needs.",
            "write serving/environments/NAME/requirements.in with these packages, run make lock, and then "
            f"{self.how('NAME')}; what it can do without is imported in a try, or model.yaml names an environment",
        )

    def sha256(self, name: str) -> str | None:
        """Of what an environment has here; None where it is not here, or nothing is known of it."""
        found = self.offered().get(name)
        return found.sha256 if found and found.packages else None


def on_one_machine(folder: Path = Path(sys.prefix) / "environments") -> Environments:
    """Those that are built in `folder` at the time of an upload."""
    return Environments(lambda: environments.built(folder), lambda name: f"run {environments.command(name)}")


def on_cluster(values: Mapping[str, Mapping[str, Any]]) -> Environments:
    """`base` and those that the chart's values name; what they have is known here, or said by the values."""
    known = environments.known()
    base = known[BASE_ENVIRONMENT]
    said = {"imports": base.imports, "packages": base.packages}
    more = {
        name: environments.described(name, value, said)
        for name, value in values.items()
        if any(value.values())
    }
    offered = {BASE_ENVIRONMENT: base, **{name: known[name] for name in values if name in known}, **more}
    return Environments(
        lambda: offered,
        lambda name: f"make images ENVIRONMENTS={name}, and add {name} to the chart's value environments",
    )


def _missing(said: str, how: str) -> Conflict:
    return Conflict("environment_missing", f"{said} To have it, {how}; then upload the archive again.")
