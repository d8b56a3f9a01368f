"""What the API reads from its environment; the launcher, the chart and the tests fill it in."""

from pathlib import Path
from typing import Annotated, Literal, Self, TypedDict

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    model_validator,
)
from pydantic_settings import NoDecode

from metadata_api.settings.auth import Auth, Signature
from metadata_api.settings.stores import S3, BackupBucket, Retention
from metadata_api.settings.values import MEBIBYTE, Environment, none_if_empty
from serving_runtime import hosts


class Max(BaseModel):
    """Longest bodies, what all hold, and longest waits; in the environment as METADATA_API_MAX_IMAGE_BYTES, ..."""

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
    response_seconds: Annotated[float, Field(gt=0)] = 10.0
    """How long the servers of models may take to answer where the deployment has no `response_seconds`."""
    drain_seconds: Annotated[float, Field(ge=1)] = 8.0
    """Longest wait at a stop for requests that are being answered; shorter where no model may take so long."""


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
    ca_file: Annotated[FilePath | None, BeforeValidator(none_if_empty)] = None
    """Certificates of the authorities that the server's certificate is checked against."""


class Connection(TypedDict):
    """Arguments of `database.session.connect`."""

    url: str
    password_file: Path | None
    seconds: float
    pool: int
    sslmode: str
    ca_file: Path | None


class DatabaseSettings(Environment):
    """What a migration needs."""

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
    """Bucket that holds archives and inputs instead of the folder."""
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
    """Longest bodies and waits."""
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
