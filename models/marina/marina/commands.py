"""The commands of `marina`: what each sends to the API, and what it prints."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from marina import archives, following, inputs, printing
from marina.api import Api, Json
from marina.connection import find
from marina.deploying import deployed
from marina.errors import Failure, NotFound, WrongUse
from marina.names import typed_name
from marina.waiting import state_of, until_ready

UPLOAD_SECONDS = 600.0
WAIT_SECONDS = 300.0
COMPLETION_SECONDS = 1.0
# The longest that a deployment may take to answer, and the way to it.
MAX_DEADLINE_MS = 605_000
SHOWN_EVENTS = 10

app = typer.Typer(
    name="marina",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Push, deploy and ask models, on this machine or on a cluster.",
    epilog="The address is --url, MARINA_URL, or the Marina that runs on this machine's data folder (MARINA_HOME). "
    "The token is in --token-file or MARINA_TOKEN; the data folder has one for this machine.",
)


def _deployments(incomplete: str) -> list[str]:
    return _names("/v1/deployments", incomplete)


def _experiments(incomplete: str) -> list[str]:
    return _names("/v1/experiments", incomplete)


def _names(path: str, incomplete: str) -> list[str]:
    """Names for the shell's completion: of what there is, or nothing, but soon."""
    try:
        with Api(find(None, None)) as api:
            items = api.get(path, seconds=COMPLETION_SECONDS, limit=200)["items"]
    except Failure:
        return []
    return [item["name"] for item in items if item["name"].startswith(incomplete)]


AsJson = Annotated[bool, typer.Option("--json", help="Print the API's answer as JSON.")]
Wait = Annotated[bool, typer.Option("--wait", help="Return when it answers; show its state until then.")]
Timeout = Annotated[float, typer.Option(min=1, max=86400, help="Longest wait in seconds.")]
DeploymentName = Annotated[str, typer.Argument(metavar="DEPLOYMENT", autocompletion=_deployments)]


@app.callback()
def options(
    context: typer.Context,
    url: Annotated[str | None, typer.Option(help="Address of the API.", envvar="MARINA_URL")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with your token. An option with the token would show in `ps`.")
    ] = None,
) -> None:
    """Push, deploy and ask models, on this machine or on a cluster."""
    context.obj = (url, token_file)


@app.command()
def push(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.mar")],
    experiment: Annotated[
        str | None,
        typer.Option(help="By default the model's name in the archive.", autocompletion=_experiments),
    ] = None,
    signature: Annotated[Path | None, typer.Option(help="By default FILE.mar.sig, if it is there.")] = None,
    as_json: AsJson = False,
) -> None:
    """Upload an archive as the next version of an experiment, which is made if it is new."""
    inside = archives.model_name(file) if experiment is None else ""
    name = inside or typed_name(experiment or "")
    with api_of(context) as api, printing.progress_of_upload() as progress:
        before = _latest_version(api, name)
        content = archives.upload(file, signature, progress)
        path = f"/v1/experiments/{name}/versions?create=true"
        version = api.send("POST", path, seconds=UPLOAD_SECONDS, **content)
    if as_json:
        return printing.tell_json(version)
    number = version["version"]
    is_known = before >= number
    printing.tell(f"{name} version {number}" + (" has these bytes already" if is_known else " is stored"))
    return printing.tell(f"next: marina deploy {name} --wait")


@app.command()
def deploy(
    context: typer.Context,
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", autocompletion=_experiments)],
    version: Annotated[int | None, typer.Option(min=1, help="By default the newest.")] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Of the deployment; by default the experiment's.", autocompletion=_deployments),
    ] = None,
    runtime: Annotated[str | None, typer.Option(help="torchserve or native.")] = None,
    replicas: Annotated[int | None, typer.Option(min=1)] = None,
    cpu: Annotated[str | None, typer.Option(help="Of each pod, such as 500m.")] = None,
    memory: Annotated[str | None, typer.Option(help="Of each pod, such as 1Gi.")] = None,
    wait: Wait = False,
    timeout: Timeout = WAIT_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Serve a version of an experiment: make its deployment, or move the one that there is."""
    resources = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    wanted = {"runtime": runtime, "replicas": replicas, "resources": resources}
    body: Json = {key: value for key, value in wanted.items() if value}
    with api_of(context) as api:
        deployment = deployed(api, experiment, typed_name(name or experiment), version, body)
        _finish(api, deployment, wait, timeout, as_json)


@app.command()
def rollback(
    context: typer.Context,
    deployment: DeploymentName,
    wait: Wait = False,
    timeout: Timeout = WAIT_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Serve the version that was served before."""
    with api_of(context) as api:
        found = api.post(f"/v1/deployments/{typed_name(deployment)}/rollback")
        _finish(api, found, wait, timeout, as_json)


@app.command()
def ask(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE | NAME=VALUE...", help="An image, tensors in a .json, a text in a .txt; or a row."
        ),
    ] = None,
    text: Annotated[str | None, typer.Option(help="Ask about this text.")] = None,
    tensors: Annotated[Path | None, typer.Option(help="JSON file with v2 tensors.")] = None,
    deployment: Annotated[
        list[str] | None, typer.Option("--deployment", "-d", autocompletion=_deployments)
    ] = None,
    alias: Annotated[list[str] | None, typer.Option("--alias", "-a")] = None,
    experiment: Annotated[
        list[str] | None, typer.Option("--experiment", "-e", autocompletion=_experiments)
    ] = None,
    deadline_ms: Annotated[
        int | None,
        typer.Option(min=100, max=MAX_DEADLINE_MS, help="By default what each deployment's settings say."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask deployments, by default all that can take the input. Exit code 1 unless one answered."""
    asked = inputs.request_of(words or [], text, tensors)
    targets = {"deployments": deployment or [], "aliases": alias or [], "experiments": experiment or []}
    with api_of(context) as api:
        content = asked.content(targets, deadline_ms)
        found = api.send(
            "POST", "/v1/predictions", seconds=(deadline_ms or MAX_DEADLINE_MS) / 1000 + 60, **content
        )
    if as_json:
        printing.tell_json(found)
    else:
        printing.tell_comparison(found)
    if not any(one["status"] == "ok" for one in found["results"]):
        raise Failure("no deployment answered: `marina status` shows what is served")


@app.command()
def status(
    context: typer.Context,
    deployment: Annotated[
        str | None, typer.Argument(metavar="[DEPLOYMENT]", autocompletion=_deployments)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show all deployments, or one with its latest events. Exit code 1 if that one does not answer."""
    with api_of(context) as api:
        if deployment is None:
            pages = list(api.pages("/v1/deployments", limit=1000))
            items = [item for page in pages for item in page["items"]]
            if as_json:
                return printing.tell_json(items)
            return printing.tell_table(
                ("deployment", "experiment", "version", "state", "runtime"), printing.deployment_rows(items)
            )
        found = api.get(f"/v1/deployments/{typed_name(deployment)}")
    if as_json:
        printing.tell_json(found)
    else:
        printing.tell(
            f"{found['name']}: version {found['version']} of {found['experiment']}, {state_of(found)}"
        )
        printing.tell(f"{found['url']}/infer")
        events = [(one["at"][:19], one["kind"], one["detail"]) for one in found["events"][:SHOWN_EVENTS]]
        printing.tell_table(("at (UTC)", "event", ""), events)
    if not found["ready"]:
        raise typer.Exit(1)
    return None


@app.command()
def logs(
    context: typer.Context,
    deployment: DeploymentName,
    lines: Annotated[int, typer.Option(min=1, max=1000, help="Of each process.")] = 100,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what it writes, until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a deployment's model printed, logged and raised last."""
    if follow and as_json:
        raise WrongUse("--json is one document and --follow has no end: leave one of them out")
    name = typed_name(deployment)
    with api_of(context) as api:
        if follow:
            return printing.tell_log(following.parts(api, name, lines))
        found = api.get(f"/v1/deployments/{name}/logs", lines=lines)
    if as_json:
        return printing.tell_json(found)
    return printing.tell_log((part["pod"], part["lines"]) for part in found["parts"])


@app.command()
def check(
    paths: Annotated[list[Path], typer.Argument(metavar="FOLDER|FILE.mar...", exists=True)],
    as_json: AsJson = False,
) -> None:
    """Say of archives what would become of them here. None is run, and nothing is sent."""
    raise typer.Exit(archives.check(paths, as_json, printing.tell))


@contextmanager
def api_of(context: typer.Context) -> Iterator[Api]:
    """A client of the Marina that the options or the environment name. Raises Failure, WrongUse."""
    url, token_file = context.obj
    with Api(find(url, token_file, os.environ)) as api:
        yield api


def _latest_version(api: Api, name: str) -> int:
    """The number of the experiment's newest version; 0 where there is none."""
    try:
        return int(api.get(f"/v1/experiments/{name}")["latest_version"] or 0)
    except NotFound:
        return 0


def _finish(api: Api, deployment: Json, wait: bool, timeout: float, as_json: bool) -> None:
    """Wait if that is wanted, and say how it stands."""
    name, version = deployment["name"], deployment["version"]
    if wait:
        with printing.Waiting() as waiting:
            deployment = until_ready(api, name, version, timeout, waiting.show)
    if as_json:
        printing.tell_json(deployment)
    elif wait:
        printing.tell(f"{name} version {version} answers: {deployment['url']}/infer")
    else:
        printing.tell(f"{name} is to serve version {version}: `marina status {name}` says when it does")
