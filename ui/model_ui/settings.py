"""What the UI reads from its environment; the launcher, the chart and the tests fill it in."""

import os
import tempfile
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from model_ui import hosts

MEBIBYTE = 1024 * 1024
LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


def _prefix(value: str) -> str:
    value = value.strip("/")
    return f"/{value}" if value else ""


def _address(value: str) -> str:
    if value and not value.startswith(("http://", "https://")):
        raise ValueError("give an absolute address such as https://marina.example")
    return value.rstrip("/")


def is_private(address: str) -> bool:
    """Whether nobody can listen on the way: https, or an address of this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def _own_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"marina-ui-{os.geteuid()}"


class Settings(BaseSettings):
    """Every value has the prefix UI_ in the environment; none is read at import."""

    model_config = SettingsConfigDict(env_prefix="UI_", frozen=True)

    api_url: str = "http://127.0.0.1:8000"
    """Address of the metadata API as this process reaches it."""
    public_api_url: str = ""
    """Address of the metadata API as browsers reach it, absolute or a path; empty means that no links are shown."""
    public_url: Annotated[str, AfterValidator(_address)] = ""
    """Address of the UI as browsers reach it, with the root path; where it is https, the login's cookie is Secure, and
    what comes for its host did come by TLS."""
    login_hint: Annotated[str, Field(max_length=1000)] = ""
    """Text on the login page that says where a token is found, instead of the general one."""
    oidc_issuer: str = ""
    """Issuer of an OpenID provider at which visitors may log in, as in its tokens; empty means none."""
    oidc_client_id: str = ""
    """Name of the UI at the provider, which is the audience of its id tokens."""
    oidc_client_secret_file: Path | None = None
    """File with the secret of that client; none for a public client."""
    oidc_scope: str = "openid profile email"
    """What the provider is asked for; the claim with the role has to be in the id token."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 7860
    """Port to listen on."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port of `/metrics` for Prometheus, which asks for no credential; 0 means none."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(hosts.entries)] = ()
    """Hosts that the UI answers to beside 127.0.0.1, localhost and [::1] with its port; see `hosts.AllowedHosts`."""
    trusted_proxies: Annotated[str, AfterValidator(hosts.proxies)] = ""
    """Addresses and networks, by commas, whose X-Forwarded-Proto is believed; see also `public_url`."""
    root_path: Annotated[str, AfterValidator(_prefix)] = ""
    """Path prefix under which a proxy publishes the UI; the proxy may strip it or not."""
    deadline_ms: Annotated[int | None, Field(ge=100, le=605_000)] = None
    """How long the models may take for one input, in milliseconds; None is what each deployment's settings say."""
    max_archive_bytes: Annotated[int, Field(ge=1024)] = 1024 * MEBIBYTE
    """Largest `.mar` that may be uploaded, in bytes; it is passed on to the API and not kept."""
    upload_dir: Path = Field(default_factory=_own_folder)
    """Folder for temporary files of Gradio, closed to other users; nothing that visitors send is kept in it."""
    training_file: Path | None = None
    """File with a line that says which starter experiment is being trained; it is not there when none is."""
    refresh_seconds: Annotated[float, Field(ge=0.2, le=60)] = 12.0
    """How often an open page asks what has changed while nothing moves; while something does, every 2 s."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.oidc_issuer:
            return self
        if not self.oidc_client_id or not self.public_url:
            raise ValueError("UI_OIDC_ISSUER needs UI_OIDC_CLIENT_ID and UI_PUBLIC_URL")
        if not is_private(self.oidc_issuer):
            raise ValueError("UI_OIDC_ISSUER has to be an https address")
        if self.oidc_client_secret_file is not None and not self.oidc_client_secret_file.is_file():
            raise ValueError("UI_OIDC_CLIENT_SECRET_FILE is no file")
        return self
