"""What handlers report as metrics, as /metrics shows it, whatever a worker says."""

from serving_runtime.models.handler_series import MAX_SERIES
from serving_runtime.models.metrics import Gauges, Metrics


def shown(*reports: object) -> list[str]:
    """The lines of /metrics about handlers after these reports of one version."""
    metrics = Metrics()
    version = metrics.version("digits", "3")
    for report in reports:
        version.handler.add(report)
    lines = metrics.text([Gauges(version, 0, True)]).decode().splitlines()
    return [line for line in lines if line.startswith("marina_handler")]


def labels(name: str, unit: str = "", dimensions: str = "") -> str:
    return f'{{dimensions="{dimensions}",model="digits",name="{name}",unit="{unit}",version="3"}}'


def test_counters_and_histograms_add_up_and_gauges_have_their_last_value() -> None:
    report = [
        ["counter", "Asked", "count", "Level:x", 2, 3.0],
        ["gauge", "Load", "ms", "", 1, 2.5],
        ["histogram", "Size", "B", "", 2, 4.0],
    ]
    assert shown(report, [["gauge", "Load", "ms", "", 1, 1.5]], report[:1], report[2:]) == [
        f"marina_handler_counter_total{labels('Asked', 'count', 'Level:x')} 6.0",
        f"marina_handler_gauge{labels('Load', 'ms')} 1.5",
        f"marina_handler_histogram_count{labels('Size', 'B')} 4.0",
        f"marina_handler_histogram_sum{labels('Size', 'B')} 8.0",
    ]


def test_what_is_no_report_is_left_out() -> None:
    wrong: list[object] = [
        "text",
        {"a": 1},
        [["counter", "a", "b", "c", 1]],
        [["counter", 7, "b", "c", 1, 1]],
        [["counter", "a", "b", "c", 1, "1"]],
        [["counter", "a", "b", "c", 1, float("nan")]],
        [["counter", "a" * 1000, "b", "c", 1, 1]],
        [["other", "a", "b", "c", 1, 1]],
        [None],
    ]
    assert shown(*wrong) == []


def test_a_version_has_a_limited_number_of_series_and_odd_text_stays_text() -> None:
    lines = shown(*([["gauge", f'n"\n{number}', "", "", 1, 1.0]] for number in range(2 * MAX_SERIES)))
    assert len(lines) == MAX_SERIES
    first = labels(r"n\"\n0")
    assert lines[0] == f"marina_handler_gauge{first} 1.0"


def test_a_version_that_takes_no_traffic_is_not_shown() -> None:
    metrics = Metrics()
    metrics.version("digits", "3").handler.add([["gauge", "a", "", "", 1, 1.0]])
    assert b"marina_handler" not in metrics.text([])
