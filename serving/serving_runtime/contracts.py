"""What serving and the metadata API must agree on, each thing said once; pure, and the lowest layer of both."""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Literal, get_args

NAME_PATTERN = r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$"
"""Of experiments, deployments and aliases, and so of models under v2."""
NAME = re.compile(NAME_PATTERN.strip("^$"))

Runtime = Literal["torchserve", "native"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
"""Each has an entry in `runtimes.registry`; the first is the default."""

DeploymentState = Literal["pending", "starting", "ready", "failed", "stopped", "unknown"]
"""What a deployment is observed doing."""
DEPLOYMENT_STATES: tuple[DeploymentState, ...] = get_args(DeploymentState)

BASE_ENVIRONMENT = "base"
"""The environment that every installation has: PyTorch, NumPy and Pillow. The names of others have NAME_PATTERN too."""

STARTUP_SECONDS_BOUNDS = (5, 3600)
RESPONSE_SECONDS_BOUNDS = (1, 600)
"""What a deployment may give its model to load, and to answer."""
BATCH_SIZE_BOUNDS = (1, 1024)
BATCH_DELAY_MS_BOUNDS = (0, 60_000)
"""How many rows of concurrent requests may share a call, and how long one may wait for others."""
RECORDINGS = "recordings.json"
"""The file that says which traffic the servers of models record: beside the models file, or a key of a Secret."""
PREDICTION_HEADER = "x-marina-prediction"
"""Header of the answer to a request that is recorded: the id of the event, which leads to the prediction."""
MAX_RETENTION_DAYS = 3650
EVENT_OF_REQUEST = "org.kubeflow.serving.inference.request"
EVENT_OF_RESPONSE = "org.kubeflow.serving.inference.response"
"""The types of CloudEvents with which KServe's agent, and a server of models, record a call."""
EVENT_BATCH = "application/cloudevents-batch+json"
EVENT_JSON_SIZE = "headercontentlength"
"""The extension that says how much of a recorded body is JSON; binary tensors follow."""

DATATYPES = (
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
)

IMAGE_MAX_BYTES = 10 * 1024 * 1024
IMAGE_MAX_PIXELS = 4_000_000
IMAGE_MAGIC = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG"}
"""How the image files that are accepted begin. The starters' preprocessing is frozen, with limits of its own."""


class ErrorCode(StrEnum):
    """`code` of the front's errors, beside `error`, which is for people: clients decide by the code."""

    INVALID_REQUEST = "invalid_request"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_OFFERED = "not_offered"
    NOT_FOUND = "not_found"
    WRONG_METHOD = "wrong_method"
    SLOW_BODY = "slow_body"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    MODEL_FAILED = "model_failed"
    HANDLER_STATUS = "handler_status"
    NOT_READY = "not_ready"
    QUEUE_FULL = "queue_full"
    WORKER_FAILED = "worker_failed"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    INTERNAL = "internal"


class Role(StrEnum):
    """What a caller may do; each role may do what those before it may."""

    FETCHER = "fetcher"
    """Fetch archives and nothing else: what starts a model's pod has it."""
    VIEWER = "viewer"
    """Look at everything but tokens and the audit log."""
    ANNOTATOR = "annotator"
    """Ask models."""
    DEPLOYER = "deployer"
    """Change deployments and aliases."""
    PUBLISHER = "publisher"
    """Bring experiments, versions and imports: a version brings code that runs."""
    ADMIN = "admin"
    """Issue and revoke tokens, read the audit log."""

    def includes(self, other: "Role") -> bool:
        """Whether this role may do what the other may."""
        return _RANK[self] >= _RANK[other]


def highest(roles: Iterable[Role]) -> Role:
    """The one that includes all others; there must be one at least."""
    return max(roles, key=_RANK.__getitem__)


_RANK = {role: rank for rank, role in enumerate(Role)}
