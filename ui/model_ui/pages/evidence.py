"""The page Evidence: the champion of an alias against its challengers, and the button that promotes one of them."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import FormData
from starlette.responses import Response

from model_ui.api_errors import ApiRejected
from model_ui.deployment_types import Alias, AliasPage
from model_ui.evidence_types import Promoted, Standing, Step
from model_ui.names import segment
from model_ui.pages import alias as alias_page
from model_ui.shell.page import Page
from model_ui.shell.status import Undo
from model_ui.shell.visit import MOVING_SECONDS, Visit

# Challengers that are compared in the table; each is a request.
CHALLENGERS = 12
# The plot, in its own units.
WIDTH, HEIGHT, LEFT, BOTTOM = 640.0, 230.0, 46.0, 26.0
# Of e-values on its axis.
MARKS = (0.01, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e6, 1e9, 1e12, 1e20, 1e40, 1e80)
RULES = {
    "ready": "Ready",
    "other_version": "Another version",
    "same_task": "Same task",
    "min_labels": "Enough labels",
    "evidence": "Evidence",
    "no_class_worse_than": "No class worse",
    "max_p95_ms": "Latency",
    "max_error_share": "Errors",
    "replay": "Replay",
}


@dataclass(frozen=True)
class Plot:
    """The way of the evidence as coordinates of an SVG."""

    line: str
    end: tuple[float, float]
    threshold: float
    marks: list[tuple[float, str]]
    most: int
    """Labels at its right end."""


async def show(visit: Visit) -> Response:
    """One challenger in full, or all of them in a table."""
    aliases = (await visit.api.call(AliasPage, "GET", "/v1/aliases", params={"limit": "200"})).items
    alias = await _alias(visit, aliases)
    names = await _challengers(visit, alias) if alias else []
    chosen = visit.query("challenger")
    standing, table = None, []
    if alias and chosen:
        standing = await _standing(visit, alias.name, chosen)
    elif alias:
        found = await asyncio.gather(*(_standing(visit, alias.name, name) for name in names[:CHALLENGERS]))
        table = sorted(found, key=lambda one: (-one.promotable, -one.log_e, one.candidate.deployment))
    return await visit.render(
        "evidence.html",
        title="Evidence",
        seconds=2 * MOVING_SECONDS,
        aliases=aliases if alias in (None, *aliases) else (*aliases, alias),
        alias=alias,
        names=names,
        chosen=chosen,
        standing=standing,
        table=table,
        plot=plot(standing.steps, standing.log_threshold) if standing else None,
        rules=RULES,
        e_value=e_value,
        verdict=verdict,
        more=max(0, len(names) - CHALLENGERS),
        may_promote=visit.me.may_all("deployer"),
        may_force=visit.me.may("admin"),
    )


async def promote(visit: Visit, form: FormData) -> Response:
    """Let the challenger take the alias; a rejection comes back as it was said."""
    alias, candidate = str(form.get("alias", "")), str(form.get("candidate", ""))
    body = {
        "candidate": candidate,
        "reason": str(form.get("reason", "")).strip(),
        "force": form.get("force") == "yes",
    }
    done = await visit.api.call(Promoted, "POST", f"/v1/aliases/{segment(alias)}/promote", json=body)
    undo = Undo(address=visit.here, fields={"do": "rollback", "alias": alias})
    return visit.done(
        f"{alias} points at {done.alias.deployment}, version {done.alias.version}, now.",
        undo=undo,
        to=f"/evidence?alias={segment(alias)}",
    )


async def roll_back(visit: Visit, form: FormData) -> Response:
    """Take a promotion back."""
    moved, said = await alias_page.point_back(visit, str(form.get("alias", "")), "")
    return visit.done(said, kind="ok" if moved else "warn")


def plot(steps: Sequence[Step], threshold: float) -> Plot:
    """The logarithm of the e-value after each label, from 0 labels and 1 on."""
    logs = [0.0, *(step.log_e for step in steps)]
    labels = [0, *(step.labels for step in steps)]
    low, high = min(-1.0, *logs) * 1.08, max(threshold * 1.25, *logs) * 1.04
    most = max(10, labels[-1])

    def at(count: float, log_e: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - 8) * count / most
        y = 8 + (HEIGHT - BOTTOM - 8) * (high - log_e) / (high - low)
        return round(x, 1), round(y, 1)

    points = [at(count, log_e) for count, log_e in zip(labels, logs, strict=True)]
    marks = [(at(0, math.log(value))[1], f"{value:g}") for value in MARKS if low <= math.log(value) <= high]
    return Plot(" ".join(f"{x},{y}" for x, y in points), points[-1], at(0, threshold)[1], marks[-8:], most)


def e_value(log_e: float) -> str:
    """As people read it."""
    return f"{math.exp(log_e):.3g}" if log_e < 15 else f"10^{log_e / math.log(10):.1f}"


def verdict(standing: Standing) -> tuple[str, str]:
    """In a few words, and the kind of its chip."""
    if standing.promotable:
        return "can be promoted", "ok"
    failed = [rule.rule for rule in standing.rules if not rule.passed]
    if set(failed) <= {"evidence", "min_labels"}:
        if standing.labels_missing is None:
            return "does not win", "bad"
        return f"about {standing.labels_missing:,} labels missing", "warn"
    first = next(rule for rule in failed if rule not in ("evidence", "min_labels"))
    return f"{RULES.get(first, first).lower()}: not met", "bad"


async def _alias(visit: Visit, aliases: Sequence[Alias]) -> Alias | None:
    """The one that is asked for, which may be past the list, and never another; else the first."""
    wanted = visit.query("alias")
    if not wanted:
        return aliases[0] if aliases else None
    known = next((one for one in aliases if one.name == wanted), None)
    return known or await visit.api.call(Alias, "GET", f"/v1/aliases/{segment(wanted)}")


async def _challengers(visit: Visit, alias: Alias) -> list[str]:
    """Other deployments of the same task, by name; those that are stopped cannot be promoted."""
    found = await visit.api.deployments()
    task = next((one.task for one in found if one.name == alias.deployment), None)
    return sorted(
        one.name
        for one in found
        if one.task == task and one.name != alias.deployment and one.desired == "running"
    )


async def _standing(visit: Visit, alias: str, candidate: str) -> Standing:
    address = f"/v1/aliases/{segment(alias)}/evidence"
    try:
        return await visit.api.call(Standing, "GET", address, params={"candidate": candidate})
    except ApiRejected as error:
        if error.status == 422:
            raise ApiRejected(404, "deployment_unknown", f"There is no deployment {candidate}.") from error
        raise


PAGES = (Page("/evidence", show, {"promote": promote, "rollback": roll_back}),)
