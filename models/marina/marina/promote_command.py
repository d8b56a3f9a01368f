"""The command `promote`: a candidate takes an alias by evidence, or it is said which rules fail and what is missing."""

from typing import Annotated

import typer

from marina import printing
from marina.api import Json
from marina.commands import AsJson, DeploymentName, api_of, app
from marina.errors import Failure, WrongUse
from marina.names import typed_name

SHOWN_INPUTS = 5


@app.command()
def promote(
    context: typer.Context,
    alias: Annotated[str, typer.Argument(metavar="ALIAS")],
    candidate: DeploymentName,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how the candidate stands.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Whatever the policy says; for admins.")] = False,
    reason: Annotated[str, typer.Option(help="Why; kept in the alias's log.")] = "",
    as_json: AsJson = False,
) -> None:
    """Let a deployment take an alias if the labels say that it is better. Exit code 1 if a rule fails."""
    if force and not reason.strip():
        raise WrongUse("a forced promotion needs --reason")
    for name in (alias, candidate):
        typed_name(name)
    address = f"/v1/aliases/{alias}/promote"
    body = {"candidate": candidate, "force": force, "reason": reason}
    with api_of(context) as api:
        found = api.send("POST", address, params={"dry_run": True}, json=body)
        if not dry_run and (force or found["standing"]["promotable"]):
            found = api.post(address, body)
    if as_json:
        printing.tell_json(found)
    else:
        _tell(found, alias)
    if not (found["promoted"] or found["standing"]["promotable"]):
        raise Failure(f"{candidate} is not promoted: {_missing(found['standing'])}")


def _tell(found: Json, alias: str) -> None:
    standing = found["standing"]
    rows = [
        (rule["rule"].replace("_", " "), "pass" if rule["passed"] else "FAIL", rule["detail"])
        for rule in standing["rules"]
    ]
    printing.tell_table(("RULE", "", "DETAIL"), rows)
    printing.tell(
        f"{standing['wins']} labelled answers would become right, {standing['losses']} wrong; "
        f"{standing['ties']} stay as they are"
    )
    if open_inputs := [one["input_sha256"] for one in standing["undecided"][:SHOWN_INPUTS]]:
        printing.tell(f"labels of these inputs would decide most: {', '.join(open_inputs)}")
    if found["promoted"]:
        target = found["alias"]
        printing.tell(f"{alias} points at {target['deployment']}, version {target['version']}")


def _missing(standing: Json) -> str:
    """What is said at the end, on standard error."""
    failed = {rule["rule"] for rule in standing["rules"] if not rule["passed"]}
    if failed <= {"min_labels", "evidence"}:
        estimate = str(standing["estimate"])
        return estimate[:1].lower() + estimate[1:].rstrip(".")
    return f"{len(failed)} rule{'s' if len(failed) > 1 else ''} failed"
