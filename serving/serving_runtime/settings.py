"""What the serving process reads from its environment; every name has the prefix SERVING_."""

import os
import sys
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from serving_runtime import hosts
from serving_runtime.containment import Mode
from serving_runtime.contracts import (
    BASE_ENVIRONMENT,
    BATCH_DELAY_MS_BOUNDS,
    BATCH_SIZE_BOUNDS,
    NAME_PATTERN,
    RECORDINGS,
    RESPONSE_SECONDS_BOUNDS,
    RUNTIMES,
    STARTUP_SECONDS_BOUNDS,
    Runtime,
)

_MODELS = r"^\s*(\*|[a-z0-9-]+(\s*,\s*[a-z0-9-]+)*)?\s*$"
_NAMES = r"^\s*([A-Za-z_]\w*(\s*,\s*[A-Za-z_]\w*)*)?\s*$"


class WorkerSettings(BaseModel):
    """What the workers, which run the code of archives, get and may do; names have the prefix SERVING_WORKER_."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: Annotated[str, Field(pattern=_NAMES)] = ""
    """Names of variables that handlers need, separated by commas; the workers get no others but well-known ones."""
    uids: Annotated[str, Field(pattern=r"^([1-9]\d{0,8}-[1-9]\d{0,8})?$")] = "61000-61999"
    """Users that workers run as when the server is root, one for each; empty: they stay root, without its rights."""
    network: Annotated[str, Field(pattern=_MODELS)] = ""
    """Names of models that may open connections, separated by commas, or `*`; others may not."""
    readable: str = ""
    """Files and folders that handlers may read beside their own archive and Python, separated by colons."""
    scratch_bytes: Annotated[int, Field(ge=1024**2)] = 256 * 1024**2
    """Most bytes that a worker may keep in its scratch folder."""
    processes: Annotated[int, Field(ge=16)] = 512
    """Most processes and threads of a worker, where they can be counted for each."""
    memory_bytes: Annotated[int, Field(ge=1024**3)] | None = None
    """Most address space of a worker; PyTorch reserves far more than it uses."""

    @property
    def variables(self) -> list[str]:
        """The names in `environment`."""
        return [name.strip() for name in self.environment.split(",") if name.strip()]

    @property
    def users(self) -> range:
        """Those in `uids`."""
        first, _, last = self.uids.partition("-")
        return range(int(first), int(last) + 1) if last else range(0)

    def may_connect(self, model: str) -> bool:
        """Whether `network` names a model."""
        named = [name.strip() for name in self.network.split(",")]
        return "*" in named or model in named


class QueueSettings(BaseModel):
    """Load shedding: who may wait for a model; names have the prefix SERVING_QUEUE_."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Most requests waiting for one model; then 503."""
    seconds: Annotated[float, Field(gt=0, le=600)] = 0.25
    """A request that would queue longer is rejected with 503. Two batches may always queue; under sustained overload,
    while more requests are rejected in a second than may queue, only one."""


class MaxSettings(BaseModel):
    """Largest batches and bodies; names have the prefix SERVING_MAX_."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: Annotated[int, Field(ge=1, le=1024)] = 16
    """Most rows of concurrent requests that go to a model in one call."""
    body_bytes: Annotated[int, Field(ge=1024, le=1024**3)] = 10 * 1024 * 1024
    """Longest request body; then 413."""


class LogSettings(BaseModel):
    """Where the output of models goes; names have the prefix SERVING_LOG_."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dir: Path | None = None
    """Folder with one log for each model; without it all goes to standard output, as in a pod."""
    bytes: Annotated[int, Field(ge=64 * 1024)] = 4 * 1024**2
    """Most bytes of a model's log; one older file of that size is kept beside it."""


class ModelSettings(BaseModel):
    """The only model, of a pod; names have the prefix SERVING_MODEL_."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = None
    """v2 name of the model."""
    dir: Path | None = None
    """Folder that holds it as one .mar file."""
    version: str = "1"
    """Version that it answers with."""
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    """SHA-256 that its archive must have; empty when it is not known."""
    startup_seconds: Annotated[float, Field(gt=0, le=STARTUP_SECONDS_BOUNDS[1])] | None = None
    """Longest time to load it; without it what its archive asks for, or else SERVING_STARTUP_SECONDS."""
    response_seconds: Annotated[float, Field(gt=0, le=RESPONSE_SECONDS_BOUNDS[1])] | None = None
    """Longest time to answer; without it what its archive asks for, or else SERVING_DEADLINE_SECONDS."""
    batch_size: Annotated[int, Field(ge=BATCH_SIZE_BOUNDS[0], le=BATCH_SIZE_BOUNDS[1])] | None = None
    """Most rows of concurrent requests in a call; without it what its archive asks for, or else SERVING_MAX_BATCH."""
    batch_delay_ms: Annotated[int, Field(ge=BATCH_DELAY_MS_BOUNDS[0], le=BATCH_DELAY_MS_BOUNDS[1])] | None = (
        None
    )
    """How long a request waits for others to share its call; without it what its archive asks for, or not at all."""


class Settings(BaseSettings):
    """Either MODELS_FILE (many models, watched) or MODEL_NAME and MODEL_DIR (one model: a pod)."""

    model_config = SettingsConfigDict(
        env_prefix="SERVING_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        frozen=True,
    )

    host: str = "127.0.0.1"
    """Address that the v2 front listens on; TorchServe itself never leaves this machine."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port of the v2 front; 0 takes a free one and says which in the log."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(hosts.entries)] = ()
    """Hosts that the front answers to beside 127.0.0.1, localhost and [::1] with its port; see `hosts.AllowedHosts`."""
    tokens_file: Path | None = None
    """JSON file of the tokens, as hashes, that may ask for anything but health; without it everybody may."""
    recordings_file: Path | None = None
    """JSON file that says which traffic is recorded; by default `recordings.json` beside the models file."""
    models_file: Path | None = None
    """JSON list of the models to serve, watched for changes."""
    model: ModelSettings = ModelSettings()
    """The only model, of a pod."""
    runtime: Runtime = RUNTIMES[0]
    """What runs the only model: TorchServe, or a worker of our own without Java."""
    environment: Annotated[str, Field(pattern=NAME_PATTERN)] = BASE_ENVIRONMENT
    """What the only model may import: the name of an environment."""
    environments_dir: Path = Path(sys.prefix) / "environments"
    """Folder of the environments beside `base`, as `make environment` builds them."""
    work_dir: Path = Path(".marina/serving")
    """Unpacked models, sockets and TorchServe's files; everything in it may be lost."""
    java_cache: Path | None = None
    """With this file, made by `python -m serving_runtime.java_cache`, TorchServe's Java starts in half the time."""
    deadline_seconds: Annotated[float, Field(gt=0, le=600)] = 10.0
    """Longest time from a complete request to its answer, then 504; for models without `response_seconds`."""
    startup_seconds: Annotated[float, Field(gt=0, le=STARTUP_SECONDS_BOUNDS[1])] = 180.0
    """Longest time from the start of a model's worker to its first answer; for models without `startup_seconds`."""
    max: MaxSettings = MaxSettings()
    """Largest batches and bodies."""
    queue: QueueSettings = QueueSettings()
    """Who may wait for a model."""
    torch_threads: Annotated[int, Field(ge=1, le=256)] | None = None
    """Threads of PyTorch in each worker; by default one for each core but the front's, or one when many models
    share the cores."""
    log: LogSettings = LogSettings()
    """Where the output of models goes."""
    containment: Mode = "auto"
    """Measures against the code of an archive: what this machine has, none, or none missing; see docs/security.md."""
    worker: WorkerSettings = WorkerSettings()
    """What the workers get and may do."""

    @model_validator(mode="after")
    def _one_source_of_models(self) -> Self:
        pod = self.model.name is not None and self.model.dir is not None
        if pod == (self.models_file is not None):
            raise ValueError("set either SERVING_MODELS_FILE or SERVING_MODEL_NAME and SERVING_MODEL_DIR")
        return self

    @property
    def recordings(self) -> Path | None:
        """The file that says which traffic is recorded; None for a pod that has none."""
        if self.recordings_file is None and self.models_file is not None:
            return self.models_file.with_name(RECORDINGS)
        return self.recordings_file

    @property
    def threads(self) -> int:
        """Threads of PyTorch in each worker."""
        if self.torch_threads is not None:
            return self.torch_threads
        return 1 if self.models_file is not None else max(1, available_cores() - 1)

    @property
    def busy_poll(self) -> bool:
        """Whether the front may keep its core awake for a moment while a model works: it has one for itself."""
        return self.models_file is None and available_cores() > 1


def available_cores() -> int:
    """Cores that this process may use: its affinity, and the CPU limit of its container (cgroup v2 or v1)."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text().strip()
            period = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return cores
    if quota in ("max", "-1"):
        return cores
    return max(1, min(cores, int(int(quota) / int(period) + 0.5)))
