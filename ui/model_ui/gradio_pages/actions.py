"""What the buttons of a deployment's card do, and how each is undone; called by the Deployments tab."""

from dataclasses import dataclass

from model_ui.api_errors import ApiError
from model_ui.api_types import Deployment
from model_ui.metadata_client import MetadataClient


@dataclass(frozen=True)
class Done:
    """What happens now, as a sentence, and what undoes it: the action, and the deployment before and after it."""

    words: str
    action: str
    before: Deployment
    after: Deployment | None
    """None when it was removed."""


async def do(client: MetadataClient, action: str, name: str, version: int | None) -> Done:
    """Do what a button says; raises ApiError."""
    before = await client.deployment(name)
    after: Deployment | None = None
    if action == "change" and isinstance(version, int):
        after = await client.change_version(name, version)
        words = f"{name} changes to version {after.version}."
    elif action == "rollback":
        after = await client.roll_back(name)
        words = f"{name} goes back to version {after.version}."
    elif action == "stop":
        after = await client.stop(name)
        words = f"{name} stops."
    elif action == "start":
        after = await client.start(name)
        words = f"{name} starts."
    elif action == "remove":
        await client.remove(name)
        words = f"{name} is removed."
    else:
        raise ApiError("This button is not known. Load the page anew.")
    return Done(words, action, before, after)


async def undo(client: MetadataClient, done: Done) -> str:
    """Bring back what was before an action, and say so; raises ApiError, also when somebody changed it meanwhile."""
    before, since = done.before, done.after.updated_at if done.after else ""
    if done.action in ("stop", "start"):
        # As it was, which need not be the opposite: somebody else may have stopped or started it already.
        set_desired = client.start if before.desired == "running" else client.stop
        await set_desired(before.name, unchanged_since=since)
    elif done.action == "remove":
        await client.deploy_again(before)
    else:
        await client.change_version(before.name, before.version, unchanged_since=since)
    state = "is stopped" if before.desired == "stopped" else f"serves version {before.version}"
    return f"Undone: {before.name} {state} again."
