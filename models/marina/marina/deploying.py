"""Serving a version: a new deployment, or the one that there is moves to it."""

from marina.api import Api, Json
from marina.archives import checked_name
from marina.errors import NotFound, WrongUse


def deployed(api: Api, experiment: str, name: str, version: int | None, options: Json) -> Json:
    """The deployment that shall serve a version of an experiment, by default the newest; a stopped one starts.

    `options` are further fields of the API's body. Raises WrongUse when the name serves another experiment, Failure.
    """
    path = f"/v1/deployments/{name}"
    try:
        found = api.get(path)
    except NotFound:
        known = checked_name(experiment, f"{experiment!r} is no name: write one")
        return api.post("/v1/deployments", {"name": name, "experiment": known, "version": version, **options})
    if found["experiment"] != experiment:
        raise WrongUse(f"{name} serves {found['experiment']}: name another deployment by --name")
    newest = version or api.get(f"/v1/experiments/{experiment}")["latest_version"]
    changed = api.patch(path, {"version": newest, **options})
    return changed if changed["desired"] == "running" else api.post(f"{path}/start")
