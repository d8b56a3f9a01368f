"""Which role a route needs: each declares it beside its address, and no application is made with one that does not."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from fastapi import APIRouter, Request, params
from fastapi.routing import APIRoute

from metadata_api.auth.principal import principal_of
from metadata_api.errors import Forbidden
from serving_runtime.contracts import Role

IN_BODY = "(body)"


class Access(NamedTuple):
    """The role that one method of one address needs; None means that it is open to everybody, or to who has its key."""

    method: str
    path: str
    role: Role | None
    by_key: bool = False
    """Whether the address itself is the secret that opens it."""


class Needs:
    """The check of one route, as FastAPI calls it.

    A token that is limited to deployments may look at everything that its role may, and use nothing but what the path
    parameter `deployment` names.
    """

    def __init__(self, role: Role | None, deployment: str | None, *, by_key: bool = False) -> None:
        self.role = role
        self.deployment = deployment
        self.by_key = by_key

    async def __call__(self, request: Request) -> None:
        """Raise Forbidden when the caller may not do this."""
        if self.role is None:
            return
        caller = principal_of(request.scope)
        caller.require(self.role)
        if caller.deployments is None or Role.VIEWER.includes(self.role):
            return
        if self.deployment is None:
            raise Forbidden(
                "forbidden",
                f"The token of {caller.subject} is limited to deployments, and this address is about more.",
            )
        if self.deployment is not IN_BODY:
            caller.require_deployment(request.path_params[self.deployment])


def needs(role: Role, *, deployment: str | None = None) -> params.Depends:
    """Declare the role that a route needs, as one of its `dependencies`.

    `deployment` is the path parameter that holds a deployment's name: a token which is limited to deployments may be
    used here. With IN_BODY the route looks at the limit itself.
    """
    return params.Depends(Needs(role, deployment))


def open_to_all() -> params.Depends:
    """Declare that a route needs no credential."""
    return params.Depends(Needs(None, None))


def by_key() -> params.Depends:
    """Declare that a route needs no credential, as it checks the key in its address itself."""
    return params.Depends(Needs(None, None, by_key=True))


def open_addresses(routers: Iterable[APIRouter]) -> Callable[[str, str], bool]:
    """Whether a method and a path lead to a route that is open to all, as the routers themselves would say."""
    found = [
        (route.methods or set(), route.path_regex)
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and _needs_of(route).role is None
    ]

    def is_open(method: str, path: str) -> bool:
        return any(method in methods and pattern.match(path) for methods, pattern in found)

    return is_open


def declared(routers: Iterable[APIRouter]) -> list[Access]:
    """What every route needs; raises TypeError for one that does not say it, or says it twice."""
    found = []
    for route in (one for router in routers for one in router.routes):
        if not isinstance(route, APIRoute):
            raise TypeError(f"{route} is no API route: its access cannot be declared")
        needed = _needs_of(route)
        found += [
            Access(method, route.path, needed.role, needed.by_key) for method in sorted(route.methods or ())
        ]
    return found


def _needs_of(route: APIRoute) -> Needs:
    checks = [one.dependency for one in route.dependencies if isinstance(one.dependency, Needs)]
    if len(checks) != 1:
        raise TypeError(f"{route.path} needs exactly one of needs(role), by_key() and open_to_all()")
    return checks[0]
