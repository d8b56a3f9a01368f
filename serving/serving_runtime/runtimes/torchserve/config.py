"""What TorchServe reads when it starts: its configuration, its log configuration, and the manifest of the model."""

import importlib.util
import json
import math
from pathlib import Path
from typing import Any

from serving_runtime.archive.manifest import ARCHIVE_MODEL, MANIFEST, read_manifest
from serving_runtime.errors import LoadFailed

_LARGEST_CALL = 128 * 1024 * 1024
INFERENCE, MANAGEMENT = "i", "m"
_LOG4J = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="off" shutdownHook="disable">
  <Appenders>
    <Console name="stderr" target="SYSTEM_ERR"><PatternLayout pattern="%-5p %c{1}: %m%n"/></Console>
  </Appenders>
  <!-- Every call writes several lines at `info`, which costs 2 ms of it. -->
  <Loggers><Root level="error"><AppenderRef ref="stderr"/></Root></Loggers>
</Configuration>
"""


_TOKENS = "key_file.json"
_TOKEN_MINUTES = 30_000_000  # 57 years: Java ends before its token


def write(directory: Path, sockets: Path, model: Path, *, calls: int, start_seconds: float) -> None:
    """Write `config` and `log4j2.xml` into `directory` and make the unpacked `model` load our worker.

    TorchServe listens in the folder `sockets`.

    `calls` may be under way at once.
    """
    (directory / "config").write_text(_config(sockets, model, calls, start_seconds), "utf-8")
    (directory / "log4j2.xml").write_text(_LOG4J, "utf-8")
    _aim_manifest(model)


def token(directory: Path) -> bytes:
    """The token that inference needs, from the file that Java writes before it listens. Raises OSError until then."""
    try:
        document = json.loads((directory / _TOKENS).read_bytes())
    except ValueError:
        raise FileNotFoundError(f"{_TOKENS} is being written") from None
    return str(document["inference"]["key"]).encode("ascii")


def home_and_jar() -> tuple[Path, Path]:
    """The folder that holds TorchServe's package, and its Java program. Raises LoadFailed."""
    spec = importlib.util.find_spec("ts")
    package = Path(spec.origin).parent if spec is not None and spec.origin is not None else None
    if package is None or not (jar := package / "frontend" / "model-server.jar").is_file():
        raise LoadFailed("TorchServe is not installed: install the package torchserve")
    return package.parent, jar


def _aim_manifest(model: Path) -> None:
    """Make TorchServe load our worker, which loads the archive's own handler and reads its configuration file."""
    manifest = read_manifest(model)
    archive: dict[str, Any] = manifest["model"]
    if ARCHIVE_MODEL in archive:
        return  # this folder was started before
    manifest["model"] = {
        "modelName": archive["modelName"],
        "modelVersion": archive.get("modelVersion", "1.0"),
        "handler": "serving_runtime.worker.torchserve_main",
        ARCHIVE_MODEL: archive,
    }
    manifest["runtime"] = "python"
    (model / MANIFEST).write_text(json.dumps(manifest), "utf-8")


def _config(sockets: Path, model: Path, calls: int, start_seconds: float) -> str:
    settings = {
        "inference_address": f"unix:{sockets}/{INFERENCE}",
        "management_address": f"unix:{sockets}/{MANAGEMENT}",
        "enable_metrics_api": "false",
        "grpc_inference_address": "127.0.0.1",
        "grpc_management_address": "127.0.0.1",
        "grpc_inference_port": 0,
        "grpc_management_port": 0,
        "enable_model_api": "false",
        # Its two gRPC servers cannot be switched off and listen on 127.0.0.1: without a token they answer nothing.
        "disable_token_authorization": "false",
        "token_expiration_min": _TOKEN_MINUTES,
        "install_py_dep_per_model": "false",
        "allowed_urls": "file:///nowhere",
        # By its name alone: TorchServe cuts a path at the first `.mar` in it, and `.marina` has one.
        "model_store": model.parent,
        "load_models": f"model={model.name}",
        "default_workers_per_model": 1,
        "default_response_timeout": 3600,  # deadlines are the front's
        "default_startup_timeout": math.ceil(start_seconds),
        "number_of_gpu": 0,
        "number_of_netty_threads": 1,
        "netty_client_threads": 1,
        "job_queue_size": 2 * calls,
        "max_request_size": _LARGEST_CALL,
        "max_response_size": _LARGEST_CALL,
        "disable_system_metrics": "true",
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())
