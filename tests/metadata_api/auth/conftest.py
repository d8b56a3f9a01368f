"""The API with authentication on, its admin's token, and tokens of every role."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, update

from metadata_api.app import create_app
from metadata_api.database.auth_tables import ApiToken
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from serving_runtime.contracts import Role
from tests.metadata_api.servers import running

ADMIN = f"mrn_0123456789ab_{'s' * 43}"
SERVING = f"mrn_ba9876543210_{'m' * 43}"


@pytest.fixture(scope="session")
def closed_settings(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """As the launcher makes them: one file with the admin's token, one with that of the API itself."""
    folder = tmp_path_factory.mktemp("auth")
    (folder / "token").write_text(ADMIN + "\n")
    (folder / "serving-token").write_text(SERVING + "\n")
    return settings.model_copy(
        update={
            "auth": Auth(
                admin_token_file=folder / "token",
                serving_token_file=folder / "serving-token",
                serving_tokens_file=folder / "serving-tokens.json",
            )
        }
    )


@pytest.fixture(scope="session")
def closed_app(closed_settings: Settings, engine: Engine) -> FastAPI:
    """The application with authentication on."""
    return create_app(closed_settings)


@pytest.fixture(scope="session")
def closed_address(closed_app: FastAPI) -> Iterator[str]:
    """The same behind uvicorn."""
    with running(closed_app) as address:
        yield address


@pytest.fixture
def admin(closed_address: str, clean: None) -> Iterator[httpx.Client]:
    """A client with the admin's token, on empty tables."""
    with client_of(closed_address, ADMIN) as client:
        yield client


@pytest.fixture
def nobody(closed_address: str, clean: None) -> Iterator[httpx.Client]:
    """A client without a credential."""
    with httpx.Client(base_url=closed_address, timeout=30) as client:
        yield client


@pytest.fixture
def tokens(admin: httpx.Client) -> dict[Role, str]:
    """A token of each role."""
    return {role: issue(admin, role=role) for role in Role}


def client_of(address: str, token: str) -> httpx.Client:
    """A client with a token."""
    return httpx.Client(base_url=address, timeout=30, headers={"Authorization": f"Bearer {token}"})


def issue(admin: httpx.Client, role: str = "viewer", **more: object) -> str:
    """The text of a new token."""
    response = admin.post("/v1/tokens", json={"name": f"some {role}", "role": role, **more})
    assert response.status_code == 201, response.text
    return str(response.json()["token"])


def expire(engine: Engine, token: str) -> None:
    """Let a token have expired a minute ago."""
    with engine.begin() as connection:
        past = datetime.now(UTC) - timedelta(minutes=1)
        connection.execute(update(ApiToken).where(ApiToken.id == token[4:16]).values(expires_at=past))


def folder_of(settings: Settings) -> Path:
    """Where the files of `closed_settings` are."""
    assert settings.auth.admin_token_file
    return settings.auth.admin_token_file.parent
