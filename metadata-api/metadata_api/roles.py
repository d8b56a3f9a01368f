"""The six roles, each holding the ones before it."""

from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    """What a caller may do; each role may do what those before it may."""

    FETCHER = "fetcher"
    """Fetch archives and nothing else: what starts a model's pod has it."""
    VIEWER = "viewer"
    """Look at everything but tokens and the audit log."""
    ANNOTATOR = "annotator"
    """Ask models."""
    DEPLOYER = "deployer"
    """Change deployments and aliases."""
    PUBLISHER = "publisher"
    """Bring experiments, versions and imports: a version brings code that runs."""
    ADMIN = "admin"
    """Issue and revoke tokens, read the audit log."""

    def includes(self, other: "Role") -> bool:
        """Whether this role may do what the other may."""
        return _RANK[self] >= _RANK[other]


def highest(roles: Iterable[Role]) -> Role:
    """The one that includes all others; there must be one at least."""
    return max(roles, key=_RANK.__getitem__)


_RANK = {role: rank for rank, role in enumerate(Role)}
