"""Who sent a request, as far as a credential proves it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from metadata_api.errors import Forbidden
from serving_runtime.contracts import Role

Kind = Literal["token", "oidc", "service_account", "none"]
STATE = "principal"


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller.

    `deployments` limits an API token to these deployments, by name, and `path` to one address of this API and of
    the servers of models; None means that there is no limit.
    """

    subject: str
    role: Role
    kind: Kind
    token_id: str | None = None
    deployments: frozenset[str] | None = None
    expires_at: datetime | None = None
    path: str | None = None

    def require(self, role: Role) -> None:
        """Raise Forbidden unless this caller has the role."""
        if not self.role.includes(role):
            raise Forbidden(
                "forbidden",
                f"This needs the role {role}; {self.subject} has {self.role}. Ask an admin for it.",
            )

    def require_deployment(self, name: str) -> None:
        """Raise Forbidden when this caller is limited to other deployments."""
        if self.deployments is not None and name not in self.deployments:
            raise Forbidden(
                "forbidden", f"The token of {self.subject} is limited to other deployments than {name}."
            )

    def require_path(self, path: str) -> None:
        """Raise Forbidden when this caller is limited to another address."""
        if self.path is not None and path != self.path:
            raise Forbidden(
                "forbidden",
                f"The token of {self.subject} is for {self.path} and nothing else. Ask an admin for another.",
            )


ANONYMOUS = Principal("anonymous", Role.ADMIN, "none")
"""Everybody, while authentication is off."""


def principal_of(scope: Mapping[str, Any]) -> Principal:
    """The caller of an ASGI scope that the authentication layer let through with a credential."""
    found = scope["state"][STATE]
    assert isinstance(found, Principal), "open addresses have no caller"
    return found
