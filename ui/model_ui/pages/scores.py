"""The page Scores: how often versions are right by the labels of people, and on which labels that rests."""

from starlette.responses import Response

from model_ui.names import segment
from model_ui.score_types import CalibrationBin, Confusion, Scores, VersionScore
from model_ui.shell.page import Page
from model_ui.shell.visit import Visit

# Most versions of one table, and most classes of a matrix that can be read.
MOST = 50
MOST_CLASSES = 30
# Of the reliability curve, in the units of its drawing.
SIDE = 240


async def show(visit: Visit) -> Response:
    """The table, and one version in detail."""
    experiment, task = visit.query("experiment"), visit.query("task")
    if experiment:
        path, params = f"/v1/experiments/{segment(experiment)}/scores", {"limit": str(MOST)}
        scores = await visit.api.call(Scores, "GET", path, params=params)
    else:
        names = visit.names("deployment") or [
            one.name
            for one in await visit.api.deployments()
            if one.desired == "running" and task in ("", one.task)
        ]
        scores = Scores()
        if names:
            asked = {"deployment": names[:MOST]}
            scores = await visit.api.call(Scores, "GET", "/v1/scores", params=asked)
    found = sorted(scores.items, key=lambda one: (one.task, -(one.score.share.accuracy or 0)))
    wanted = visit.query("version")
    chosen = next((one for one in found if one.key == wanted), None) or next(
        (one for one in found if one.n), None
    )
    return await visit.render(
        "scores.html",
        title="Scores",
        experiment=experiment,
        task=task,
        items=found,
        chosen=chosen,
        matrix=matrix(chosen),
        points=points(chosen.calibration.bins) if chosen and chosen.calibration else [],
        side=SIDE,
    )


def matrix(chosen: VersionScore | None) -> list[tuple[str, list[tuple[str, int, float]]]]:
    """Rows of what is right, each with (answered, how often, share of the row); none where they could not be read."""
    found = chosen.confusion if chosen else None
    if found is None or not 1 < len(found.labels) <= MOST_CLASSES:
        return []
    return [(truth, _row(found, truth)) for truth in found.labels]


def points(bins: tuple[CalibrationBin, ...]) -> list[tuple[float, float, CalibrationBin]]:
    """Where the reliability curve passes, each with its bin."""
    return [
        (round(one.confidence * SIDE, 1), round((1 - one.accuracy) * SIDE, 1), one)
        for one in bins
        if one.confidence is not None and one.accuracy is not None
    ]


def _row(found: Confusion, truth: str) -> list[tuple[str, int, float]]:
    counts = {cell.answer: cell.n for cell in found.cells if cell.truth == truth}
    total = sum(counts.values()) or 1
    return [(answer, counts.get(answer, 0), counts.get(answer, 0) / total) for answer in found.labels]


PAGES = (Page("/scores", show),)
