"""What the answers of a replay come to: flips against the first deployment, classes, latencies; pure functions."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from metadata_api.schemas import replays as bodies
from metadata_api.schemas.predictions import Result

EXAMPLES = 100
Truths = Mapping[tuple[str, str], str | float]
"""What is right, by input and task."""
_ORDER: dict[bodies.Verdict, int] = {"worse": 0, "unknown": 1, "neither": 2, "better": 3}


def report(
    names: Sequence[str], answers: Mapping[str, Sequence[Result]], truths: Truths
) -> bodies.ReplayReport:
    """The report over `answers` by input."""
    by_name: dict[str, dict[str, Result]] = {name: {} for name in names}
    for sha256, results in answers.items():
        for result in results:
            by_name[result.deployment][sha256] = result
    first = by_name[names[0]]
    return bodies.ReplayReport(
        versions=[one for name in names if (one := _version(by_name[name], truths))],
        against_first=[_pair(name, first, by_name[name], truths) for name in names[1:]],
    )


def said(result: Result) -> str:
    """An answer as it is compared: the class, the text, or the number."""
    if result.label is not None:
        return result.label
    if result.text is not None:
        return result.text.strip()
    return "" if result.number is None else f"{result.number:.6g}"


def _version(mine: Mapping[str, Result], truths: Truths) -> bodies.Replayed | None:
    if not mine:
        return None
    labelled = [(truths.get((sha256, result.task)), result) for sha256, result in mine.items() if _ok(result)]
    right = [said(result) == truth for truth, result in labelled if isinstance(truth, str)]
    latencies = sorted(result.latency_ms for result in mine.values() if _ok(result))
    one = next(iter(mine.values()))
    return bodies.Replayed(
        deployment=one.deployment,
        experiment=one.experiment,
        version=next((each.version for each in mine.values() if each.version is not None), 0),
        answered=len(latencies),
        errors=len(mine) - len(latencies),
        p50_ms=statistics.median(latencies) if latencies else None,
        p95_ms=latencies[min(len(latencies) - 1, int(0.95 * len(latencies)))] if latencies else None,
        labelled=len(right),
        right=sum(right),
    )


def _pair(
    name: str, first: Mapping[str, Result], other: Mapping[str, Result], truths: Truths
) -> bodies.ReplayedPair:
    classes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    flips = []
    both = [sha256 for sha256 in first if _ok(first[sha256]) and sha256 in other and _ok(other[sha256])]
    for sha256 in both:
        one, two, truth = said(first[sha256]), said(other[sha256]), truths.get((sha256, first[sha256].task))
        verdict = _verdict(first[sha256], other[sha256], truth)
        shown = f"{truth:.6g}" if isinstance(truth, float) else truth
        # A class of many numbers or texts would say nothing.
        if first[sha256].label is not None:
            classes[one if shown is None else shown].update(["inputs"])
        if one == two:
            continue
        if first[sha256].label is not None:
            classes[one if shown is None else shown].update(["flips", verdict])
        flips.append(
            bodies.ReplayedFlip(
                input_sha256=sha256, first=one[:200], other=two[:200], truth=shown, verdict=verdict
            )
        )
    verdicts = Counter(flip.verdict for flip in flips)
    return bodies.ReplayedPair(
        deployment=name,
        inputs=len(both),
        flips=len(flips),
        worse=verdicts["worse"],
        better=verdicts["better"],
        classes=_ranked(classes),
        examples=sorted(flips, key=lambda flip: (_ORDER[flip.verdict], flip.input_sha256))[:EXAMPLES],
    )


def _ranked(classes: Mapping[str, Counter[str]]) -> list[bodies.ReplayedClass]:
    """Where most of its inputs get worse first; where that is the same, where most flip."""

    def rank(found: tuple[str, Counter[str]]) -> tuple[float, float, str]:
        label, counts = found
        net = counts["worse"] - counts["better"]
        return (-net / counts["inputs"], -counts["flips"] / counts["inputs"], label)

    return [
        bodies.ReplayedClass(
            label=label,
            inputs=counts["inputs"],
            flips=counts["flips"],
            worse=counts["worse"],
            better=counts["better"],
        )
        for label, counts in sorted(classes.items(), key=rank)
    ]


def _verdict(first: Result, other: Result, truth: str | float | None) -> bodies.Verdict:
    if truth is None or said(first) == said(other):
        return "unknown"
    if isinstance(truth, str):
        mine, theirs = (float(said(one) != truth) for one in (first, other))
    elif first.number is None or other.number is None:
        return "unknown"
    else:
        mine, theirs = abs(first.number - truth), abs(other.number - truth)
    return "worse" if mine < theirs else "better" if theirs < mine else "neither"


def _ok(result: Result) -> bool:
    return result.status == "ok"
