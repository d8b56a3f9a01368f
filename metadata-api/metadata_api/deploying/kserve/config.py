"""`kserve.yaml`: what an installation says about the objects that the API makes; the chart writes it as a ConfigMap."""

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Json = dict[str, Any]


class Unreadable(ValueError):
    """The file is not there or not what it should be; the text names the file and every wrong key."""


class Section(BaseModel):
    """Parent of all: an unknown key is a typing error that should be heard of at the start."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Gateway(Section):
    """The Gateway that HTTPRoutes attach to."""

    name: str = ""
    namespace: str = ""
    section: str = ""


class Expose(Section):
    """How a model is reached from outside: by an Ingress, by an HTTPRoute, or not at all."""

    mode: Literal["ingress", "gateway", "none"] = "none"
    host: str = ""
    ingress_class: str = ""
    tls_secret: str = ""
    annotations: dict[str, str] = Field(default_factory=dict)
    gateway: Gateway = Gateway()

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.mode == "ingress" and not self.host:
            raise ValueError("mode ingress needs a host")
        if self.mode == "gateway" and not self.gateway.name:
            raise ValueError("mode gateway needs gateway.name")
        return self


class Predictor(Section):
    """Copied to every InferenceService that the API makes."""

    service_account: str = ""
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: list[Json] = Field(default_factory=list)
    image_pull_secrets: list[Json] = Field(default_factory=list)
    resources: Json = Field(default_factory=dict)


class EnvironmentValues(Section):
    """What handlers may import beside the base environment, when this release does not know the environment."""

    imports: list[str] = Field(default_factory=list)
    packages: dict[str, str] = Field(default_factory=dict)


class KServeConfig(Section):
    """One installation: its release, its namespace, where archives lie, and how models are exposed."""

    release: str = Field(min_length=1)
    """Prefix and label of every object: the chart's fullname."""
    helm_release: str = ""
    """What Helm calls it, for commands that are shown; empty if that is `release`."""
    namespace: str = Field(min_length=1)
    artifact_url: str = Field(pattern=r"^(https?|s3)://.")
    expose: Expose = Expose()
    predictor: Predictor = Predictor()
    environments: dict[str, EnvironmentValues] = Field(default_factory=dict)
    """Those that have ServingRuntimes, by name; `base` always has."""
    response_seconds: int = Field(10, gt=0)
    """How long a model may take to answer unless its deployment says so; a pod that leaves has longer than that."""
    tokens_secret: str = ""
    """Secret in which model servers find the tokens that they take, as `tokens.json`; empty when they ask for none."""
    api_url: str = ""
    """This API as the servers of models reach it, to send what they record; only with `recordings_secret`."""
    recordings_secret: str = ""
    """Secret in which they find what they record of their traffic, as `recordings.json`; empty when they do not."""


def read(path: Path) -> KServeConfig:
    """The configuration in a file; raises Unreadable."""
    try:
        return KServeConfig.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError) as error:
        raise Unreadable(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, item['loc'])) or 'file'}: {item['msg']}" for item in error.errors())
        raise Unreadable(f"{path}: {'; '.join(wrong)}") from error
