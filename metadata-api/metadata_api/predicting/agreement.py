"""How far answers agree: votes of classes, the spread of numbers, groups of the same text; called by `predictions`."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from uuid import UUID

from metadata_api.predicting.answers import kinds
from metadata_api.schemas import predictions as bodies

# Most pairs that are named.
PAIRS = 500
_FAMILIES = ("classes", "numbers", "texts", "none")


def agreements(results: Sequence[bodies.Result]) -> list[bodies.AnyAgreement]:
    """One for each task that has answers, in the order of the first: models of two tasks answer two questions."""
    tasks: dict[str, list[bodies.Result]] = {}
    for result in results:
        if result.status == "ok":
            tasks.setdefault(result.task, []).append(result)
    return [_agreement(task, answered) for task, answered in tasks.items()]


def _agreement(task: str, results: Sequence[bodies.Result]) -> bodies.AnyAgreement:
    """Where the answers are of several families, of the one that has most of them."""
    families: dict[str, list[bodies.Result]] = {family: [] for family in _FAMILIES}
    for result in results:
        known = kinds().get(result.kind)
        families[known.FAMILY if known else "none"].append(result)
    family = max(_FAMILIES, key=lambda one: len(families[one]))
    same = families[family]
    if family == "classes":
        return _classes(task, same)
    if family == "numbers":
        return _numbers(task, same)
    if family == "texts":
        return _texts(task, same)
    return bodies.NoAgreement(task=task, kind="none", of=len(same))


def disagreeing(results: Iterable[bodies.Result]) -> set[UUID]:
    """Ids of those answers to which another of the same task says another label or text."""
    tasks: dict[str, list[tuple[str, UUID]]] = {}
    for result in results:
        said = result.label if result.label is not None else result.text
        if result.status == "ok" and said is not None:
            tasks.setdefault(result.task, []).append((said, result.prediction_id))
    return {
        identity for found in tasks.values() if len({said for said, _ in found}) > 1 for _, identity in found
    }


def _classes(task: str, results: Sequence[bodies.Result]) -> bodies.ClassAgreement:
    """Two labels with the most votes are no agreement."""
    labels = Counter(result.label for result in results)
    (label, votes), *others = labels.most_common(2)
    second = others[0][1] if others else 0
    shares = [count / labels.total() for count in labels.values()]
    pairs = (
        (one.deployment, other.deployment)
        for one, other in combinations(results, 2)
        if one.label != other.label
    )
    return bodies.ClassAgreement(
        task=task,
        kind="classes",
        label=label if votes > second else None,
        votes=votes,
        of=labels.total(),
        unanimous=len(labels) == 1,
        margin=(votes - second) / labels.total(),
        entropy=max(0.0, -sum(share * math.log2(share) for share in shares)),
        disagree=[pair for pair, _ in zip(pairs, range(PAIRS), strict=False)],
    )


def _numbers(task: str, results: Sequence[bodies.Result]) -> bodies.NumberAgreement:
    numbers = [result.number for result in results if result.number is not None]
    units = {result.unit for result in results}
    return bodies.NumberAgreement(
        task=task,
        kind="numbers",
        least=min(numbers),
        greatest=max(numbers),
        mean=statistics.fmean(numbers),
        spread=statistics.pstdev(numbers),
        of=len(numbers),
        unit=units.pop() if len(units) == 1 else None,
    )


def _texts(task: str, results: Sequence[bodies.Result]) -> bodies.TextAgreement:
    groups: dict[str, list[str]] = {}
    for result in results:
        groups.setdefault(result.text or "", []).append(result.deployment)
    ranked = sorted(groups.items(), key=lambda group: -len(group[1]))
    listed = [bodies.TextGroup(text=text, deployments=names) for text, names in ranked]
    return bodies.TextAgreement(task=task, kind="texts", groups=listed, of=len(results))
