"""The command `record`: which share of a deployment's v2 traffic becomes predictions that people can label."""

from typing import Annotated

import typer

from marina import printing
from marina.api import Json
from marina.commands import AsJson, DeploymentName, api_of, app
from marina.errors import WrongUse
from marina.names import typed_name

MAX_DAYS = 3650


@app.command()
def record(
    context: typer.Context,
    deployment: DeploymentName,
    rate: Annotated[
        float | None,
        typer.Argument(
            metavar="[SHARE]", min=0, max=1, help="From 0 (off) to 1; without it, show what is recorded."
        ),
    ] = None,
    inputs_only: Annotated[bool, typer.Option("--inputs-only", help="Record no answers.")] = False,
    keep_days: Annotated[
        int | None, typer.Option(min=1, max=MAX_DAYS, help="By default as long as all predictions are kept.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Record a share of a deployment's v2 traffic as predictions. Nothing starts anew for it."""
    if rate is None and (inputs_only or keep_days is not None):
        raise WrongUse("name the share to record, such as 0.1")
    address = f"/v1/deployments/{typed_name(deployment)}"
    with api_of(context) as api:
        if rate is None:
            found = api.get(address)
        else:
            wanted: Json = {"rate": rate, "answers": not inputs_only, "retention_days": keep_days}
            found = api.patch(address, {"recording": wanted})
    if as_json:
        return printing.tell_json(found)
    return printing.tell(f"{deployment}: {_said(found['recording'])}")


def _said(recording: Json) -> str:
    if not recording["rate"]:
        return "nothing is recorded"
    what = "requests and answers" if recording["answers"] else "requests without their answers"
    days = recording["retention_days"]
    return f"{recording['rate']:.4g} of the {what} is recorded" + (f", kept for {days} days" if days else "")
