"""Images of environments: which there are, and what the builder is told, without an engine."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENGINE = """#!/bin/sh
echo "$@" >> "$LOG"
case "$*" in *inspect*) echo '[{"Size": 1000000}]';; esac
"""


def images(
    folder: Path, *names: str, environments: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """`.ci/images` with an engine that only writes down what it is told; these words."""
    engine, log = folder / "engine", folder / "log"
    engine.write_text(ENGINE)
    engine.chmod(0o755)
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "images"), *names],
        env={**os.environ, "DOCKER": str(engine), "LOG": str(log), "TAG": "7", "ENVIRONMENTS": environments},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    said = log.read_text().splitlines() if log.exists() else []
    return done, [line for line in said if line.startswith("build")]


def test_each_environment_becomes_an_image_on_top_of_the_one_that_was_built_before(tmp_path: Path) -> None:
    done, built = images(tmp_path, "marina-serving", environments="vision, text")
    assert done.returncode == 0, done.stderr
    assert [line.split("--tag ")[1].split()[0] for line in built] == [
        "marina-serving:7",
        "marina-serving-vision:7",
        "marina-serving-text:7",
    ]
    assert "--build-arg SERVING_IMAGE=marina-serving:7 --build-arg ENVIRONMENT=vision" in built[1]
    assert "serving/environments/Dockerfile" in built[1]
    assert "marina-serving-vision:7: 0 MB above the base, in" in done.stdout


def test_without_any_none_is_built(tmp_path: Path) -> None:
    _, built = images(tmp_path, environments="")
    assert len(built) == 4
    assert not [line for line in built if "serving/environments" in line]


def test_an_unknown_one_is_named_before_anything_is_built(tmp_path: Path) -> None:
    done, built = images(tmp_path, environments="vision nope")
    assert done.returncode == 1
    assert "there is no environment nope; there are sklearn, text, vision" in done.stderr
    assert built == []
