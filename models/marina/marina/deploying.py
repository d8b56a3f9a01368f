"""Serving a version: a new deployment, or the one that there is moves to it."""

from marina.api import Api, Json
from marina.errors import Failure, NotFound, WrongUse
from marina.names import typed_name

_PUSH = "marina push FILE.mar --experiment {} brings its first version"


def deployed(api: Api, experiment: str, name: str, version: int | None, options: Json) -> Json:
    """The deployment that shall serve a version of an experiment, by default the newest; a stopped one starts.

    `options` are further fields of the API's body. Raises WrongUse when the name serves another experiment, Failure.
    """
    path = f"/v1/deployments/{name}"
    try:
        found = api.get(path)
    except NotFound:
        _require_version(api, typed_name(experiment))
        return api.post(
            "/v1/deployments", {"name": name, "experiment": experiment, "version": version, **options}
        )
    if found["experiment"] != experiment:
        raise WrongUse(f"{name} serves {found['experiment']}: name another deployment by --name")
    newest = version or api.get(f"/v1/experiments/{experiment}")["latest_version"]
    changed = api.patch(path, {"version": newest, **options})
    return changed if changed["desired"] == "running" else api.post(f"{path}/start")


def _require_version(api: Api, experiment: str) -> None:
    """Raises Failure where there is nothing to deploy, with the command that brings it."""
    try:
        found = api.get(f"/v1/experiments/{experiment}")
    except NotFound as error:
        raise Failure(f"there is no experiment {experiment}: {_PUSH.format(experiment)}") from error
    if found["latest_version"] is None:
        raise Failure(f"{experiment} has no version: {_PUSH.format(experiment)}")
