"""Bodies of the routes for API tokens and for the caller."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from metadata_api.schemas.fields import Body, Name, ShortText
from serving_runtime.contracts import Role

OIDC_PREFIX = "oidc:"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"


def _no_prefix(name: str) -> str:
    if name.startswith((OIDC_PREFIX, SERVICE_ACCOUNT_PREFIX)):
        raise ValueError(
            f"must not begin with {OIDC_PREFIX} or {SERVICE_ACCOUNT_PREFIX}: others are named so"
        )
    return name


class NewToken(Body):
    """A token to issue."""

    name: Annotated[
        ShortText,
        Field(min_length=1, description="Whose it is: a person or a program."),
        AfterValidator(_no_prefix),
    ]
    role: Role
    deployments: Annotated[
        list[Name] | None,
        Field(min_length=1, max_length=1000, description="Limits it to these deployments; null means all."),
    ] = None
    expires_in_days: Annotated[
        int | None, Field(ge=1, le=3650, description="null means that it never expires.")
    ] = 90


class Token(BaseModel):
    """A token as it is listed: everything but its text, which only its owner has."""

    id: str
    name: str
    role: Role
    deployments: list[str] | None
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class IssuedToken(Token):
    """A token that was just issued: the only time that its text is shown."""

    token: str


class TokenPage(BaseModel):
    """Tokens by id."""

    items: list[Token]
    next: str | None


class Caller(BaseModel):
    """Who the API takes the sender of a request for."""

    subject: str
    role: Role
    kind: Literal["token", "oidc", "service_account", "none"]
    expires_at: datetime | None
    deployments: list[str] | None
    verified_by: Annotated[
        str | None,
        Field(
            description="A digest of all that callers of this kind are verified by. As long as one of them is told the "
            "same, none of those who were told it has been revoked. null where only the credential itself tells."
        ),
    ]
