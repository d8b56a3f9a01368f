"""What the API reads from its environment; the launcher, the chart and the tests fill it in."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self, TypedDict

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    StringConstraints,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from metadata_api.web_address import is_allowed
from serving_runtime import hosts
from serving_runtime.contracts import Role

MEBIBYTE = 1024 * 1024


def _words(value: object) -> object:
    """Words separated by commas, or a JSON list."""
    if not isinstance(value, str):
        return value
    words = json.loads(value) if value.lstrip().startswith("[") else value.split(",")
    if not isinstance(words, Sequence):
        raise ValueError("give words separated by commas, or a JSON list of them")
    return tuple(word.strip() if isinstance(word, str) else word for word in words if word != "")


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


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
ServiceAccount = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
]


class S3(BaseModel):
    """Where archives and images are kept when it is not a folder; in the environment as METADATA_API_S3_BUCKET, ..."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: str = Field(min_length=1)
    """Name of a bucket that exists."""
    prefix: str = "artifacts"
    """First part of every archive's key."""
    endpoint: str = ""
    """Address of the server; empty means AWS."""
    region: str = "us-east-1"
    """Region of the bucket; most other servers take any."""
    credentials_dir: Path | None = None
    """Folder with the files AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; without it the environment decides."""


class BackupBucket(S3):
    """A bucket outside, into which all objects are copied; in the environment as METADATA_API_BACKUP_BUCKET, ..."""

    prefix: str = "marina"
    """First part of every key."""


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
    oidc_default_role: Annotated[Role | None, BeforeValidator(_none_if_empty)] = None
    """Role of those whom no value gives one; without it they have no access."""
    oidc_subject_claim: str = ""
    """Claim that names the caller; empty means the verified email address, else `sub`."""
    oidc_ca_file: Annotated[FilePath | None, BeforeValidator(_none_if_empty)] = None
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

    keys: Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_words)] = ()
    """Public keys (PEM, P-256, P-384 or P-521) whose signatures count: files, or folders of them."""
    required: bool = False
    """Whether every archive that is uploaded needs a signature."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.required and not self.keys:
            raise ValueError("METADATA_API_SIGNATURE_REQUIRED needs METADATA_API_SIGNATURE_KEYS")
        return self


class Max(BaseModel):
    """Longest bodies, and what all hold, in bytes; in the environment as METADATA_API_MAX_IMAGE_BYTES, ..."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_bytes: int = 10 * MEBIBYTE
    """Largest accepted image upload."""
    csv_bytes: int = 200 * MEBIBYTE
    """Largest accepted CSV upload."""
    mar_bytes: int = 1024 * MEBIBYTE
    """Largest accepted `.mar` upload."""
    inference_bytes: int = 10 * MEBIBYTE
    """Largest body of a v2 request that is passed on."""
    json_bytes: int = 8 * MEBIBYTE
    """Largest body of every other request."""
    memory_bytes: int = 192 * MEBIBYTE
    """What large requests may hold in memory all together; those for which there is no room get 503."""


class Retention(BaseModel):
    """How long and how much is kept; in the environment as METADATA_API_RETENTION_GRACE_SECONDS, ..."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grace_seconds: float = Field(24 * 3600.0, ge=0)
    """So long after nothing refers to stored bytes any more they are deleted; no backup may take longer."""
    interval_seconds: float = Field(600.0, gt=0)
    """From one round of deletions to the next."""
    predictions_days: int = Field(365, ge=0)
    """Age of the oldest predictions that are kept; 0 means any. Images go with the last prediction about them."""
    predictions_rows: int = Field(5_000_000, ge=0)
    """Most predictions that are kept; 0 means any number."""
    images_bytes: int = Field(5 * 1024 * MEBIBYTE, ge=0)
    """Most bytes of images that are kept: beyond it the oldest go, with their predictions; 0 means any number."""
    imports_days: int = Field(365, ge=0)
    """Age of the oldest reports of imports."""
    imports_rows: int = Field(10_000, ge=0)
    """Most reports of imports."""
    events_days: int = Field(365, ge=0)
    """Age of the oldest events of deployments and aliases."""
    events_rows: int = Field(1_000_000, ge=0)
    """Most events of deployments, and of aliases."""
    audit_days: int = Field(0, ge=0)
    """Age of the oldest entries of the audit log; they are kept for ever unless this is set."""
    archives_bytes: int = Field(0, ge=0)
    """Quota of archives: an upload beyond it is rejected with 507; 0 means as many as the disk takes."""
    free_bytes: int = Field(256 * MEBIBYTE, ge=0)
    """Bytes of the store's disk that stay free: an upload that leaves less is rejected with 507."""


class Database(BaseModel):
    """How the database is connected to; in the environment as METADATA_API_DATABASE_PASSWORD_FILE, ..."""

    # Its address has the same beginning and is a setting of its own.
    model_config = ConfigDict(frozen=True, extra="ignore")

    password_file: Path | None = None
    """File that holds the password, so that it is in no environment and no process list."""
    seconds: float = 5.0
    """Longest wait for one statement or connection, in seconds, measured on this side of the wire."""
    pool: Annotated[int, Field(ge=1)] = 20
    """Connections kept open; as many again may be opened in a burst, while the server gives them."""
    sslmode: Literal["", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = ""
    """libpq's sslmode; empty means that of the URL, and verify-full with a `ca_file`."""
    ca_file: Annotated[FilePath | None, BeforeValidator(_none_if_empty)] = None
    """Certificates of the authorities that the server's certificate is checked against."""


class Connection(TypedDict):
    """Arguments of `database.session.connect`."""

    url: str
    password_file: Path | None
    seconds: float
    pool: int
    sslmode: str
    ca_file: Path | None


class DatabaseSettings(BaseSettings):
    """What a migration needs. Every value has the prefix METADATA_API_ in the environment; none is read at import."""

    model_config = SettingsConfigDict(
        env_prefix="METADATA_API_", env_nested_delimiter="_", env_nested_max_split=1, frozen=True
    )

    database_url: str
    """SQLAlchemy URL of the Postgres database; the password may come from `database.password_file` instead."""
    database: Database = Database()
    """How it is connected to."""

    @property
    def connection(self) -> Connection:
        """How `database.session.connect` reaches the database."""
        return {
            "url": self.database_url,
            "password_file": self.database.password_file,
            "seconds": self.database.seconds,
            "pool": self.database.pool,
            "sslmode": self.database.sslmode,
            "ca_file": self.database.ca_file,
        }


class Settings(DatabaseSettings):
    """What the API needs beside its database."""

    store_dir: Path
    """Folder of the content-addressed artifact and image store; with S3 only of uploads that are on their way."""
    s3: S3 | None = None
    """Bucket that holds artifacts and images instead of the folder."""
    deployer: Literal["local", "kserve"] = "local"
    """Who makes a desired deployment real: a serving process on this machine, or KServe on Kubernetes."""
    serving_url: str = "http://127.0.0.1:8080"
    """Address that the API sends predictions to; `{name}` in it becomes the deployment's name."""
    serving_models_file: Path | None = None
    """File through which the local deployer tells the serving process what to load; only that one needs it."""
    kserve_file: Path | None = None
    """`kserve.yaml`, the installation as the deployer for Kubernetes has to know it; only that one needs it."""
    kubernetes_url: str = ""
    """Address of the Kubernetes API, such as that of `kubectl proxy`; empty means that of this pod."""
    public_serving_url: str = ""
    """Address of the models as users see it, with `{name}` as above; empty means `serving_url`."""
    root_path: str = ""
    """Path prefix under which a proxy publishes the API."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8000
    """Port to listen on."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(hosts.entries)] = ()
    """Hosts that the API answers to beside 127.0.0.1, localhost and [::1] with its port; see `hosts.AllowedHosts`."""
    trusted_proxies: Annotated[str, AfterValidator(hosts.proxies)] = ""
    """Addresses and networks, by commas, whose X-Forwarded-For is believed, for the audit log."""
    max: Max = Max()
    """Longest bodies."""
    auth: Auth = Field(default_factory=Auth)
    """Who may do what."""
    backup: BackupBucket | None = None
    """Bucket that gets a copy of every object, and from which damage is repaired."""
    retention: Retention = Retention()
    """How long and how much is kept."""
    signature: Signature = Signature()
    """Signatures of archives."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.deployer == "local" and self.serving_models_file is None:
            raise ValueError("deployer local needs METADATA_API_SERVING_MODELS_FILE")
        if self.deployer == "local" and self.s3 is not None:
            raise ValueError(
                "deployer local reads archives from the folder: leave METADATA_API_S3_BUCKET away"
            )
        if self.deployer == "local" and self.auth.service_accounts:
            raise ValueError("METADATA_API_AUTH_SERVICE_ACCOUNTS needs METADATA_API_DEPLOYER=kserve")
        if self.deployer == "kserve" and self.kserve_file is None:
            raise ValueError("deployer kserve needs METADATA_API_KSERVE_FILE")
        return self
