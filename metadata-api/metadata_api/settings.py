"""What the API reads from its environment; the launcher, the chart and the tests fill it in."""

from pathlib import Path
from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict

MEBIBYTE = 1024 * 1024


class Settings(BaseSettings):
    """Every value has the prefix METADATA_API_ in the environment; none is read at import."""

    model_config = SettingsConfigDict(env_prefix="METADATA_API_", frozen=True)

    database_url: str
    """SQLAlchemy URL of the Postgres database; the password may come from `database_password_file` instead."""
    database_password_file: Path | None = None
    """File that holds the password, so that it is in no environment and no process list."""
    database_seconds: float = 5.0
    """Longest wait for one statement or connection, in seconds, measured on this side of the wire."""
    database_pool: int = 20
    """Connections kept open; as many again may be opened in a burst."""
    store_dir: Path
    """Folder of the content-addressed artifact and image store."""
    deployer: Literal["local"] = "local"
    """Who makes a wanted deployment real."""
    serving_url: str = "http://127.0.0.1:8080"
    """Address of the serving process that the API sends predictions to."""
    serving_models_file: Path
    """File through which the local deployer tells the serving process what to load."""
    public_serving_url: str = ""
    """Address of the serving process as users see it; empty means `serving_url`."""
    root_path: str = ""
    """Path prefix under which a proxy publishes the API."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8000
    """Port to listen on."""
    max_image_bytes: int = 10 * MEBIBYTE
    """Largest accepted image upload, in bytes."""
    max_csv_bytes: int = 200 * MEBIBYTE
    """Largest accepted CSV upload, in bytes."""
    max_mar_bytes: int = 1024 * MEBIBYTE
    """Largest accepted `.mar` upload, in bytes."""
    max_json_bytes: int = 8 * MEBIBYTE
    """Largest body of every other request, in bytes."""
