"""Deployments as cards with what can be done to each, and the banner about the API; used by all pages."""

from collections.abc import Mapping, Sequence

from model_ui.api_types import Containment, Deployment, Me, Unregistered
from model_ui.render.markup import chip, empty, link, moment, text

KINDS = {
    "ready": "ok",
    "starting": "warn",
    "pending": "warn",
    "failed": "bad",
    "stopped": "quiet",
    "unknown": "warn",
}
# More than this in one list helps no one; the API takes any version.
VERSIONS = 50
HELM = "helm"
# States in which it matters what a model has said.
LOGGED = ("failed", "starting", "unknown")


def services(
    deployments: Sequence[Deployment],
    unregistered: Sequence[Unregistered] = (),
    *,
    versions: Mapping[str, int],
    api: str,
    me: Me,
    logs: Mapping[str, str] | None = None,
) -> str:
    """HTML of all deployments.

    Args:
        unregistered: what a Helm release deploys without the API knowing the version.
        versions: latest version of each experiment, for the choice of another one.
        api: address of the API as the browser reaches it; empty means no links.
        me: the visitor, who sees only buttons for what the role may do.
        logs: last lines of the logs that are open, by deployment.
    """
    if not deployments and not unregistered:
        hint = (
            "Choose an experiment above and press Deploy."
            if me.may("deployer")
            else "Nobody has deployed an experiment."
        )
        return empty("Nothing is deployed", hint)
    cards = "".join(
        _service(item, versions.get(item.experiment, item.version), api, me, logs or {})
        for item in deployments
    )
    cards += "".join(_unregistered(item) for item in unregistered)
    ready = sum(item.ready for item in deployments)
    desired = sum(item.desired == "running" for item in deployments)
    return f'<p class="m-count">{ready} of {desired} ready</p><div class="m-services">{cards}</div>'


def choice(item: Deployment) -> str:
    """A deployment as one of several to choose from, with its state when that is not the expected one."""
    return item.name if item.ready else f"{item.name} · {item.observed.state}"


def banner(message: str) -> str:
    """HTML of the line on top of all pages; empty when all is well."""
    if not message:
        return ""
    return (
        f'<div class="m-banner" role="alert"><strong>The API is away.</strong> <span>{text(message)}</span> '
        f"<em>This page tries again by itself.</em></div>"
    )


def _service(item: Deployment, latest: int, api: str, me: Me, logs: Mapping[str, str]) -> str:
    name = text(item.name)
    origin = "" if item.name == item.experiment else f'<span class="m-sub">{text(item.experiment)}</span>'
    reason = item.observed.reason
    kind = KINDS.get(item.observed.state, "warn")
    problem = f'<p class="m-reason {kind}">{text(reason)}</p>' if reason else ""
    may = me.may("deployer", item.name)
    actions = _actions(item, latest) if may else ""
    log = _log(item, logs.get(item.name)) if may else ""
    return (
        f'<article class="m-service {kind}" data-name="{name}"><header><h4 title="{name}">{name}</h4>'
        f"{chip(item.observed.state, kind)}{origin}{_link(item, api)}</header>{_facts(item)}{problem}{log}"
        f'<div class="m-actions">{actions}</div></article>'
    )


def _log(item: Deployment, log: str | None) -> str:
    """The last lines of a log beside what does not serve; they are fetched when it is opened."""
    if log is None and item.observed.state not in LOGGED:
        return ""
    is_open = "" if log is None else " open"
    lines = text(log) if log else "There are no lines yet." if log == "" else "…"
    return (
        f'<details class="m-log" data-log="{text(item.name)}"{is_open}><summary>Log</summary>'
        f"<pre>{lines}</pre></details>"
    )


def _unregistered(item: Unregistered) -> str:
    name, kind = text(item.name), KINDS.get(item.state, "warn")
    reason = f'<p class="m-reason {kind}">{text(item.reason)}</p>' if item.reason else ""
    return (
        f'<article class="m-service {kind}" data-name="{name}"><header><h4 title="{name}">{name}</h4>'
        f'{chip(item.state, kind)}</header><p class="m-sub">Deployed by Helm from {text(item.storage_uri)}, '
        f"a version that is not registered here.</p>{reason}</article>"
    )


def _facts(item: Deployment) -> str:
    serving = f"v{item.observed.version}" if item.observed.version is not None else "none"
    facts = [
        ("desired", f"v{item.version}" if item.desired == "running" else "stopped"),
        ("answering", serving),
    ]
    if item.runtime:
        facts.append(("runtime", item.runtime))
    if item.replicas > 1:
        facts.append(("replicas", str(item.replicas)))
    if item.owner == HELM:
        facts.append(("owner", "Helm"))
    if item.observed.containment is not None:
        facts.append(("contained by", measures(item.observed.containment)))
    cells = "".join(f"<div><dt>{key}</dt><dd>{text(value)}</dd></div>" for key, value in facts)
    since = (
        f"<div><dt>since (UTC)</dt><dd>{moment(item.observed.since)}</dd></div>"
        if item.observed.since
        else ""
    )
    return f'<dl class="m-facts">{cells}{since}</dl>'


def measures(found: Containment) -> str:
    """What holds a model's worker back, in words."""
    measures = [
        ("Landlock", found.landlock is not None),
        ("namespaces", found.namespaces),
        ("own user", found.own_uid is not None),
        ("no network", found.network == "denied"),
        ("no TCP", found.network == "tcp denied"),
    ]
    return ", ".join(name for name, is_in_force in measures if is_in_force) or "limits only"


def _link(item: Deployment, api: str) -> str:
    return link("JSON", f"{api}/v1/deployments/{item.name}") if api else ""


def _actions(item: Deployment, latest: int) -> str:
    if item.owner == HELM:
        return '<p class="m-sub">Deployed by Helm: change its values.</p>'
    buttons = []
    if latest > 1 or latest != item.version:
        # The desired version is always among them, however many newer ones there are.
        numbers = sorted({*range(max(1, latest - VERSIONS + 1), latest + 1), item.version}, reverse=True)
        options = "".join(
            f'<option value="{version}"{" selected" if version == item.version else ""}>v{version}</option>'
            for version in numbers
        )
        buttons.append(
            f'<span class="m-pair"><select aria-label="Version of {text(item.name)}">{options}</select>'
            f"{_button('change', 'Change', item)}</span>"
        )
    if item.previous_version is not None and item.desired == "running":
        buttons.append(_button("rollback", f"Roll back to v{item.previous_version}", item))
    if item.desired == "running":
        serving = (
            f"v{item.observed.version} of it answers" if item.observed.version is not None else "it starts"
        )
        consequence = (
            f"Now {serving}. Nobody gets an answer of {item.name} any more until it is started again."
        )
        buttons.append(_button("stop", "Stop", item, asks=True))
        buttons.append(_question("stop", consequence, f"Stop {item.name}", item))
    else:
        consequence = (
            f"{item.name} is gone for everybody, and its previous version is forgotten. Its predictions stay, and so "
            f"does the model {item.experiment} v{item.version}."
        )
        buttons.append(_button("start", "Start", item))
        buttons.append(_button("remove", "Remove", item, asks=True))
        buttons.append(_question("remove", consequence, f"Remove {item.name}", item))
    return "".join(buttons)


def said(words: str, kind: str = "ok", *, undo: bool = False) -> str:
    """HTML of what an action came to, with a button that puts it away and one that undoes it."""
    role = "alert" if kind == "bad" else "status"
    button = '<button type="button" class="m-button" data-undo>Undo</button>' if undo else ""
    close = '<button type="button" class="m-button" data-close aria-label="Close this message">Close</button>'
    return f'<div class="m-note {kind} m-said" role="{role}"><span>{text(words)}</span>{button}{close}</div>'


def _question(action: str, consequence: str, label: str, item: Deployment) -> str:
    """What an action would do, with the choice; hidden until somebody presses its button."""
    return (
        f'<div class="m-question" data-question="{action}" role="group" aria-label="{text(label)}?" hidden>'
        f"<p>{text(consequence)}</p>{_button(action, label, item)}"
        f'<button type="button" class="m-button" data-keep data-name="{text(item.name)}">Keep it</button></div>'
    )


def _button(action: str, label: str, item: Deployment, *, asks: bool = False) -> str:
    """A button that does something, or with `asks` one that first shows what that would do."""
    full = label if item.name in label else f"{label}: {item.name}"
    kind = "ask" if asks else "act"
    return (
        f'<button type="button" class="m-button" data-{kind}="{action}" data-name="{text(item.name)}" '
        f'aria-label="{text(full)}">{text(label)}</button>'
    )
