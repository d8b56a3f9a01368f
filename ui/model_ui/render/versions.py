"""What the check of an archive found, and the buttons that deploy it; used by the Models page."""

from collections.abc import Sequence

from model_ui.api_types import Deployment, Me
from model_ui.render.markup import chip, empty, note, number, role_needed, text
from model_ui.spec_types import ArchiveSettings, Column, Tensor, Version

COLUMNS = 30
LABELS = 20


def uploaded(version: Version, deployments: Sequence[Deployment], me: Me) -> str:
    """HTML of a version that was uploaded a moment ago, with buttons that deploy it.

    Args:
        deployments: those of its experiment that the visitor may change.
    """
    title = f"{text(version.experiment)} {chip(f'v{version.version}', 'ok')}"
    settings = version.archive_settings.not_honoured if version.archive_settings else ()
    remarks = "".join(note(remark, "warn") for remark in settings)
    deploying = (
        _deploying(version, deployments) if me.may("deployer") else role_needed("Deploying", "deployer", me)
    )
    sides = _side("Takes", version.inputs, ()) + _side("Gives", version.outputs, version.labels)
    return (
        f'<section class="m-version"><h3>{title}</h3>{_facts(version)}{remarks}'
        f'<div class="m-spec">{sides}</div>{deploying}</section>'
    )


def waiting() -> str:
    """HTML of the place for a version before there is one."""
    return empty(
        "No archive yet",
        "What the check finds is shown here: what the model takes and gives, or why it was not accepted.",
    )


def tensor_words(tensor: Tensor) -> str:
    """What a tensor is, in a few words: `image, 28 × 28, grey`."""
    if tensor.image is not None:
        colours = {1: "grey", 3: "colour", 4: "colour with transparency"}
        found = colours.get(tensor.image.channels, f"{tensor.image.channels} channels")
        return f"image, {tensor.image.width} × {tensor.image.height}, {found}"
    if tensor.kind == "table":
        return f"table of {len(tensor.columns)} columns" if tensor.columns else "table"
    if tensor.kind == "number":
        return f"number in {tensor.unit}" if tensor.unit else "number"
    if tensor.kind in ("probabilities", "label", "text", "boxes"):
        return tensor.kind
    shape = " × ".join("n" if size < 0 else str(size) for size in tensor.shape)
    return " ".join(part for part in ("tensor", tensor.datatype, shape) if part)


def _facts(version: Version) -> str:
    facts = [
        (
            "size",
            f"{version.size / 1048576:,.1f} MB"
            if version.size >= 104858
            else f"{version.size / 1024:,.1f} kB",
        ),
        ("handler", version.handler),
        ("environment", version.environment),
        ("signed by", version.signed_by or ""),
        ("files", f"{len(version.files)}" if version.files else ""),
        ("asks for", asked_for(version.archive_settings)),
    ]
    cells = "".join(f"<div><dt>{key}</dt><dd>{text(value)}</dd></div>" for key, value in facts if value)
    sha = f'<div><dt>SHA-256</dt><dd title="{text(version.sha256)}">{text(version.sha256[:12])}…</dd></div>'
    return f'<dl class="m-facts">{cells}{sha}</dl>'


def asked_for(settings: ArchiveSettings | None) -> str:
    """What an archive's configuration file sets where a deployment says nothing else."""
    if settings is None:
        return ""
    delay = settings.batch_delay_seconds
    found = (
        f"batches of {settings.batch_size} rows" if settings.batch_size is not None else "",
        f"batches after {1000 * delay:g} ms" if delay is not None else "",
        f"{settings.startup_seconds:g} s to load" if settings.startup_seconds is not None else "",
        f"{settings.response_seconds:g} s to answer" if settings.response_seconds is not None else "",
    )
    return ", ".join(filter(None, found))


def _side(title: str, tensors: Sequence[Tensor], labels: Sequence[str]) -> str:
    rows = "".join(
        f"<li><b>{text(tensor.name)}</b> <span>{text(tensor_words(tensor))}</span>{_columns(tensor)}</li>"
        for tensor in tensors
    )
    if not tensors:
        rows = "<li>Nothing is known: the archive has no <code>model.yaml</code>.</li>"
    shown = "".join(chip(label, title=label) for label in labels[:LABELS])
    more = chip(f"and {len(labels) - LABELS:,} more", "quiet") if len(labels) > LABELS else ""
    chips = f'<p class="m-chips">{shown}{more}</p>' if labels else ""
    return f"<div><h4>{title}</h4><ul>{rows}</ul>{chips}</div>"


def _columns(tensor: Tensor) -> str:
    if not tensor.columns:
        return ""
    shown = "".join(
        chip(column_words(column), title=column_words(column)) for column in tensor.columns[:COLUMNS]
    )
    more = len(tensor.columns) - COLUMNS
    return f'<p class="m-chips">{shown}{chip(f"and {more} more", "quiet") if more > 0 else ""}</p>'


def column_words(column: Column) -> str:
    """A column with its unit and its range or categories: `alcohol, 11 – 15 % vol`."""
    return ", ".join(part for part in (column.name, range_words(column)) if part)


def range_words(column: Column) -> str:
    """What a column's values are: `11 – 15 % vol`, `at least 0`, `red, white`; empty when nothing is known."""
    if column.categories:
        return ", ".join(column.categories)
    low, high = column.minimum, column.maximum
    if low is not None and high is not None:
        words = f"{number(low)} – {number(high)}"
    elif low is not None:
        words = f"at least {number(low)}"
    elif high is not None:
        words = f"at most {number(high)}"
    else:
        words = ""
    return " ".join(part for part in (words, column.unit) if part)


def _deploying(version: Version, deployments: Sequence[Deployment]) -> str:
    """Buttons: to change what runs to this version, and to deploy it under a name of its own."""
    data = f'data-experiment="{text(version.experiment)}" data-version="{version.version}"'
    change = "".join(
        f'<button type="button" class="m-button primary" data-act="change" data-name="{text(item.name)}" {data}>'
        f"Change {text(item.name)} to v{version.version}</button>"
        for item in deployments
        if item.version != version.version or item.desired == "stopped"
    )
    taken = {item.name for item in deployments}
    name = (
        version.experiment
        if version.experiment not in taken
        else f"{version.experiment[:34]}-v{version.version}"
    )
    primary = "" if change else " primary"
    return (
        f'<div class="m-deploying">{change}<label class="m-field"><span>Name</span>'
        f'<input type="text" name="deployment" value="{text(name)}" maxlength="40" autocomplete="off"></label>'
        f'<button type="button" class="m-button{primary}" data-act="deploy" {data}>Deploy</button></div>'
    )
