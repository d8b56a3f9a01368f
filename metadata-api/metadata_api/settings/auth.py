"""Settings of authentication and of the signatures of archives."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    StringConstraints,
    model_validator,
)
from pydantic_settings import NoDecode

from metadata_api.settings.values import Words, none_if_empty, words
from metadata_api.web_address import is_allowed
from serving_runtime.contracts import Role


def _roles(value: object) -> object:
    """`NAME=ROLE,NAME=ROLE`, or a JSON object for names that hold a comma."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        return json.loads(value)
    pairs = [pair.rpartition("=") for pair in value.split(",") if pair.strip()]
    if not all(name.strip() and role.strip() for name, _, role in pairs):
        raise ValueError("give NAME=ROLE pairs separated by commas, or a JSON object")
    return {name.strip(): role.strip() for name, _, role in pairs}


ServiceAccount = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
]


class Auth(BaseModel):
    """Who may do what; in the environment as METADATA_API_AUTH_MODE, METADATA_API_AUTH_ADMIN_TOKEN_FILE, ..."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["on", "off"] = "on"
    """Whether callers have to prove who they are; off, everybody may do everything."""
    admin_token_file: Path | None = None
    """File with an API token of the role admin, which works without a database and issues the others."""
    fetch_token_file: Path | None = None
    """File with an API token of the role fetcher, for what fetches the archives of models' pods."""
    serving_token_file: Path | None = None
    """File with the token that the API itself sends to the servers of models."""
    metrics_token_file: Path | None = None
    """File with an API token for what scrapes metrics, of this API and of the servers of models: good for no more."""
    serving_tokens_file: Path | None = None
    """File that the API writes: the tokens, as hashes, that the serving process on this machine takes."""

    oidc_issuer: str = ""
    """Address of the OIDC provider whose access and id tokens are taken, as its tokens name it in `iss`."""
    oidc_audience: Words = ()
    """What tokens must name in `aud`: one of these."""
    oidc_role_claim: str = Field("groups", min_length=1)
    """Claim that `oidc_roles` looks at; a path such as `realm_access.roles` goes into objects."""
    oidc_roles: Annotated[Mapping[str, Role], NoDecode, BeforeValidator(_roles)] = {}
    """Role by value of that claim; the highest that matches counts."""
    oidc_default_role: Annotated[Role | None, BeforeValidator(none_if_empty)] = None
    """Role of those whom no value gives one; without it they have no access."""
    oidc_subject_claim: str = ""
    """Claim that names the caller; empty means the verified email address, else `sub`."""
    oidc_ca_file: Annotated[FilePath | None, BeforeValidator(none_if_empty)] = None
    """Certificates that the provider's is checked against, instead of the public ones."""
    oidc_allow_http: bool = False
    """Whether the provider may be asked over plain HTTP; without it only on loopback."""
    service_accounts: Annotated[Mapping[ServiceAccount, Role], NoDecode, BeforeValidator(_roles)] = {}
    """Role by Kubernetes service account, as NAMESPACE/NAME; only with deployer kserve."""
    service_account_audience: str = Field("marina", min_length=1)
    """Audience that the tokens of service accounts must be made for."""

    @model_validator(mode="after")
    def _oidc(self) -> Self:
        if not self.oidc_issuer:
            return self
        if not is_allowed(self.oidc_issuer, http=self.oidc_allow_http):
            raise ValueError(
                "METADATA_API_AUTH_OIDC_ISSUER must be an https address without query and fragment "
                "(METADATA_API_AUTH_OIDC_ALLOW_HTTP=true: also http)"
            )
        if not self.oidc_audience:
            raise ValueError("METADATA_API_AUTH_OIDC_ISSUER needs METADATA_API_AUTH_OIDC_AUDIENCE")
        if not self.oidc_roles and self.oidc_default_role is None:
            raise ValueError(
                "METADATA_API_AUTH_OIDC_ISSUER needs METADATA_API_AUTH_OIDC_ROLES "
                "or METADATA_API_AUTH_OIDC_DEFAULT_ROLE: nobody would have access"
            )
        return self

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.serving_tokens_file is not None and self.serving_token_file is None:
            raise ValueError("SERVING_TOKENS_FILE needs SERVING_TOKEN_FILE")
        if self.mode == "on" and self.admin_token_file is None:
            raise ValueError(
                "authentication needs METADATA_API_AUTH_ADMIN_TOKEN_FILE "
                "(or METADATA_API_AUTH_MODE=off: everybody may do everything)"
            )
        return self


class Signature(BaseModel):
    """Signatures of archives; in the environment as METADATA_API_SIGNATURE_KEYS and METADATA_API_SIGNATURE_REQUIRED."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: Annotated[tuple[Path, ...], NoDecode, BeforeValidator(words)] = ()
    """Public keys (PEM, P-256, P-384 or P-521) whose signatures count: files, or folders of them."""
    required: bool = False
    """Whether every archive that is uploaded needs a signature."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.required and not self.keys:
            raise ValueError("METADATA_API_SIGNATURE_REQUIRED needs METADATA_API_SIGNATURE_KEYS")
        return self
