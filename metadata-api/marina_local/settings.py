"""What the launcher reads from its environment; `make up MARINA_UI_PORT=7861` sets one value."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

REPOSITORY = Path(__file__).resolve().parents[2]


class LocalSettings(BaseSettings):
    """Every value has the prefix MARINA_ in the environment; none is read at import."""

    model_config = SettingsConfigDict(env_prefix="MARINA_", env_ignore_empty=True, frozen=True)

    home: Path = REPOSITORY / ".marina"
    """Data folder: database, artifacts, trained models and logs."""
    ui_port: int = Field(7860, ge=1, le=65535)
    """Port of the UI."""
    api_port: int = Field(8000, ge=1, le=65535)
    """Port of the metadata API."""
    serving_port: int = Field(8080, ge=1, le=65535)
    """Port of the v2 endpoint."""
    postgres_port: int = Field(54320, ge=1, le=65535)
    """Port of Postgres."""
    auth: Literal["on", "off"] = "on"
    """Whether callers of API and UI have to prove who they are; `run/token` is the admin's token."""
    v2_auth: Literal["open", "token"] = "open"
    """Whether the v2 endpoint answers to every program on this machine, or asks for a token too."""
    start_seconds: float = Field(180.0, gt=0)
    """Longest wait for the services to answer, in seconds; training and installing are not service of it."""
    postgres_user: str = ""
    """System user that runs Postgres when the launcher is root; empty: `postgres`, or one made for it."""

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        # Every service has its own working directory, so a relative path would mean several folders.
        try:
            return home.expanduser().resolve()
        except (OSError, RuntimeError) as error:  # an unknown user's home, links in a circle
            raise ValueError(f"the path {home} leads nowhere: {error}") from error

    @property
    def ports(self) -> dict[str, int]:
        """Service -> port, in the order in which a person cares."""
        return {
            "ui": self.ui_port,
            "api": self.api_port,
            "serving": self.serving_port,
            "postgres": self.postgres_port,
        }

    @property
    def models_dir(self) -> Path:
        """Trained `.mar` files of the starter experiments; a reset keeps them."""
        return self.home / "models"

    @property
    def models_file(self) -> Path:
        """The file through which the API tells the serving process what to load."""
        return self.home / "serving" / "models.json"

    @property
    def logs(self) -> Path:
        """One log for each service."""
        return self.home / "logs"

    @property
    def model_logs(self) -> Path:
        """One log for each model: what its code printed, logged and raised."""
        return self.models_file.with_name("logs")  # where the API looks for them

    @property
    def backups(self) -> Path:
        """Dumps with their bytes; a reset keeps them."""
        return self.home / "backups"

    @property
    def lock_file(self) -> Path:
        """Held by the one launcher that may use this data folder."""
        return self.home / "run" / "launcher.lock"

    @property
    def training_file(self) -> Path:
        """A line that says which starter experiment is being trained; not there when none is."""
        return self.home / "run" / "training"

    @property
    def token_file(self) -> Path:
        """The admin's API token, for people and for the programs of this folder."""
        return self.home / "run" / "token"

    @property
    def header_file(self) -> Path:
        """The same as a header, for `curl -H @FILE`."""
        return self.home / "run" / "header"

    @property
    def serving_token_file(self) -> Path:
        """The token that the API sends to the serving process."""
        return self.home / "run" / "serving-token"

    @property
    def serving_tokens_file(self) -> Path:
        """The tokens, as hashes, that the serving process takes; the API writes it."""
        return self.home / "serving" / "tokens.json"

    def address(self, service: str) -> str:
        """Address of a service that speaks HTTP, for programs on this machine."""
        return f"http://127.0.0.1:{self.ports[service]}"
