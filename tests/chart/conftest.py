"""Without a Helm on PATH its tests are left out, and the report says so; all others render with the tests' own."""

from tests.chart.programs import PROGRAMS

collect_ignore = [] if PROGRAMS else ["test_engines.py"]


def pytest_report_header() -> str:
    """Which programs render the chart in this run."""
    return f"helm: {', '.join(PROGRAMS) or 'none on PATH, so test_engines.py is left out'}"
