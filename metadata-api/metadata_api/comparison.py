"""What differs between experiments: their parameters, metrics and tags side by side; called by its route."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from metadata_api import directions, experiments
from metadata_api.listing import rows
from metadata_api.schemas import comparison as bodies


def compare(session: Session, names: Sequence[str]) -> bodies.Comparison:
    """What differs between the experiments of these names, in this order; raises NotFound."""
    found = experiments.find(session, names)
    shown = rows.load(session, [row.id for row in found], None, whole=True)
    params = _side_by_side([row.parameters for row in shown])
    tags = _side_by_side([row.tags for row in shown])
    metrics = _side_by_side([{name: _summary(of) for name, of in row.metrics.items()} for row in shown])
    said = {name: way for row in shown for name, way in row.directions.items()}
    return bodies.Comparison(
        experiments=[
            bodies.Compared(name=row.name, display_name=row.display_name, state=row.state) for row in shown
        ],
        params=[bodies.Difference(name=name, values=values) for name, values in _differing(params).items()],
        metrics=[
            bodies.MetricDifference(
                name=name,
                direction=directions.of(name, said),
                best=[one and one[0] for one in values],
                final=[one and one[1] for one in values],
            )
            for name, values in _differing(metrics).items()
        ],
        tags=[bodies.Difference(name=name, values=values) for name, values in _differing(tags).items()],
        same=bodies.Same(
            params=len(params) - len(_differing(params)),
            metrics=len(metrics) - len(_differing(metrics)),
            tags=len(tags) - len(_differing(tags)),
        ),
    )


def _summary(found: Mapping[str, Any]) -> tuple[float | None, float | None]:
    return found["best"], found["final"]


def _side_by_side(found: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Every name with the value of each experiment, None where it has none; the names of the first come first."""
    names = dict.fromkeys(name for one in found for name in one)
    return {name: [one.get(name) for one in found] for name in names}


def _differing(found: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    return {
        name: values for name, values in found.items() if any(_is_other(values[0], one) for one in values)
    }


def _is_other(value: Any, other: Any) -> bool:
    """For Python 1 is true; here it is not."""
    return isinstance(value, bool) != isinstance(other, bool) or value != other
