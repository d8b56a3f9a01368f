"""The report as a whole: quiet when all is well, an exit code, one line for each finding, JSON for programs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from marina_doctor import platform, report, values
from marina_doctor.findings import Level, fail, info, ok, warn
from tests.e2e.sdk.doctor.objects import ROOT, before, lines, well


def test_a_release_in_good_health_has_nothing_but_good_news() -> None:
    found = report.findings(well())
    assert {one.level for one in found} == {Level.OK}
    assert report.exit_code(found) == 0
    assert report.as_lines(found).endswith("nothing found that stops Marina")


def test_before_the_installation_only_what_it_needs_is_looked_at() -> None:
    found = report.findings(
        well(status="", deployments=[], stateful_sets=[], pods=[], claims=[], services=[])
    )
    assert report.exit_code(found) == 0
    assert "info  release: release marina is not installed in namespace models" in report.as_lines(found)


def test_what_could_not_be_checked_is_one_line_for_each_reason() -> None:
    observed = before(
        unreadable={
            "pods": "no answer in time",
            "nodes": "this user may not read it",
            "a": "no answer in time",
        }
    )
    assert [line for line in lines(observed) if line.startswith("warn  doctor")] == [
        "warn  doctor: not looked at (no answer in time): a, pods. "
        "Run the doctor as a user who may, to know about it",
        "warn  doctor: not looked at (this user may not read it): nodes. "
        "Run the doctor as a user who may, to know about it",
    ]


def test_only_a_failure_stops_the_product() -> None:
    assert report.exit_code([ok("a", "b"), info("a", "b"), warn("a", "b", "c")]) == 0
    assert report.exit_code([ok("a", "b"), fail("a", "b", "c")]) == 1


def test_a_finding_is_one_line_whatever_others_wrote() -> None:
    line = fail("pods", "first\n  second.", "Do\nthis").line()
    assert line == "FAIL  pods: first second. Do this"
    assert len(fail("pods", "x" * 9999, "").line()) < 500


def test_json_says_the_same() -> None:
    found = [fail("pods", "text", "remedy")]
    assert json.loads(report.as_json(found, 1, {"release": "marina"})) == {
        "release": "marina",
        "findings": [{"level": "FAIL", "check": "pods", "text": "text", "remedy": "remedy"}],
        "exit": 1,
    }


def test_a_cluster_that_is_away_is_exit_code_2_and_soon_over(tmp_path: Path) -> None:
    cluster = {"cluster": {"server": "http://127.0.0.1:9"}, "name": "c"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [cluster],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    (tmp_path / "config").write_text(json.dumps(document))
    for words, expected in (
        (["--kubeconfig", str(tmp_path / "config")], "http://127.0.0.1:9 does not answer"),
        (["--kubeconfig", str(tmp_path / "none")], "no kubeconfig to use"),
        (["--kubeconfig", str(tmp_path / "config"), "--context", "other"], "no kubeconfig to use"),
        (["--values", str(tmp_path / "none")], "none"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "marina_doctor", *words],
            env={"PYTHONPATH": str(ROOT / "k8s" / "doctor"), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        assert expected in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_the_chart_and_the_doctor_agree_on_the_oldest_kubernetes() -> None:
    chart = (ROOT / "charts/marina/templates/_validate.tpl").read_text()
    oldest = re.search(r'semverCompare "<(\d+)\.(\d+)\.0-0"', chart)
    assert oldest
    assert tuple(map(int, oldest.groups())) == platform.OLDEST_KUBERNETES


@pytest.mark.parametrize(
    ("release", "over", "prefix"),
    [
        ("marina", {}, "marina"),
        ("mine", {}, "mine-marina"),
        ("mine", {"nameOverride": "models"}, "mine-models"),
        ("mine", {"fullnameOverride": "yours"}, "yours"),
        ("a" * 50, {}, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-"),
    ],
    ids=["named-marina", "another-name", "name-override", "fullname-override", "long"],
)
def test_names_begin_as_the_chart_makes_them(release: str, over: dict[str, str], prefix: str) -> None:
    made = values.Release(release, "models", {**values.of_files([]), **over}).prefix
    assert made.startswith(prefix)
    assert len(made) == max(len(prefix), 40 if len(release) == 50 else 0)
