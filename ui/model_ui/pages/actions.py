"""What the buttons of a deployment's card do, and how each is undone; called by the Deployments tab."""

from dataclasses import dataclass

from model_ui.api_errors import ApiError
from model_ui.api_types import Deployment
from model_ui.metadata_client import MetadataClient


@dataclass(frozen=True)
class Done:
    """What happens now, as a sentence, and what undoes it: the action, and the deployment as it was before."""

    words: str
    action: str
    before: Deployment


async def do(client: MetadataClient, action: str, name: str, version: int | None) -> Done:
    """Do what a button says; raises ApiError."""
    before = await client.deployment(name)
    if action == "change" and isinstance(version, int):
        words = f"{name} changes to version {(await client.change_version(name, version)).version}."
    elif action == "rollback":
        words = f"{name} goes back to version {(await client.roll_back(name)).version}."
    elif action == "stop":
        await client.stop(name)
        words = f"{name} stops."
    elif action == "start":
        await client.start(name)
        words = f"{name} starts."
    elif action == "remove":
        await client.remove(name)
        words = f"{name} is removed."
    else:
        raise ApiError("This button is not known. Load the page anew.")
    return Done(words, action, before)


async def undo(client: MetadataClient, done: Done) -> str:
    """Bring back what was before an action, and say so; raises ApiError."""
    before = done.before
    if done.action in ("stop", "start"):
        # As it was, which need not be the opposite: somebody else may have stopped or started it already.
        await (client.start if before.desired == "running" else client.stop)(before.name)
    elif done.action == "remove":
        await client.deploy_again(before)
    else:
        await client.change_version(before.name, before.version)
    state = "is stopped" if before.desired == "stopped" else f"serves version {before.version}"
    return f"Undone: {before.name} {state} again."
