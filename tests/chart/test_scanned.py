"""checkov finds nothing in what the chart renders, but for what is allowed here, each with its reason."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import SHAPES, render, shape

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
CHECKOV = ROOT / ".venv" / "checkov" / "bin" / "checkov"

# Check -> the objects that may fail it, and why.
ALLOWED = {
    "CKV_K8S_8": (r"Pod\.models\.marina-test-\w+", "a pod of `helm test` runs once and ends"),
    "CKV_K8S_9": (r"Pod\.models\.marina-test-\w+", "a pod of `helm test` takes no traffic"),
    "CKV_K8S_11": (
        r".*",
        "a limit on the processor throttles a model in the middle of an answer; requests share the cores fairly, "
        "and whoever wants limits sets them in `resources`",
    ),
    "CKV_K8S_15": (r".*", "tags of releases do not move, and `Always` makes a start depend on the registry"),
    "CKV_K8S_35": (
        r"(Deployment|CronJob|Pod)\.models\.marina-(metadata-api|backup|restore|test-database)",
        "host, port, name and user of an external database come from its Secret; the password is a file",
    ),
    "CKV_K8S_38": (r"Deployment\.models\.marina-metadata-api", "it writes InferenceServices and routes"),
    "CKV_K8S_40": (
        r"(StatefulSet|CronJob)\.models\.marina-(postgres|backup|restore)",
        "the official Postgres image knows its user as 999",
    ),
    "CKV_K8S_43": (r".*", "images are named by tag, and by digest where `image.digest` says one"),
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, str]]:
    """(check, object, what it says) of everything that checkov does not like, in all shapes."""
    folder = tmp_path_factory.mktemp("rendered")
    for name in ("default", *SHAPES):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(render(shape(name)).objects))
    command = [
        str(CHECKOV),
        "--directory",
        str(folder),
        "--framework",
        "kubernetes",
        "--compact",
        "--output",
        "json",
    ]
    done = subprocess.run(
        [*command, "--skip-download", "--soft-fail"],
        env={**os.environ, "LOG_LEVEL": "ERROR", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 1000, "it looked at the objects"
    assert report["summary"]["parsing_errors"] == 0
    return [
        (found["check_id"], found["resource"], found["check_name"])
        for found in report["results"]["failed_checks"]
    ]


def test_nothing_fails_that_is_not_allowed(failed: list[tuple[str, str, str]]) -> None:
    strange = {
        found
        for found in failed
        if found[0] not in ALLOWED or not re.fullmatch(ALLOWED[found[0]][0], found[1])
    }
    assert strange == set()


def test_nothing_is_allowed_that_does_not_fail(failed: list[tuple[str, str, str]]) -> None:
    assert ALLOWED.keys() == {check for check, _, _ in failed}
