"""Most tests render with the tests' own Helm; those of test_engines.py need one on PATH: `make test-helm`."""

from tests.chart.programs import PROGRAMS


def pytest_report_header() -> str:
    """Which programs render the chart in this run."""
    return f"helm: {', '.join(PROGRAMS) or 'none on PATH'}"
