"""Starts `trial` by the Python of an environment, with a deadline, and brings its answer back."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import serving_runtime
from marina.api import one_line
from marina.errors import Failure
from serving_runtime import environments

SECONDS = 300.0
SCRIPT = Path(__file__).with_name("trial.py")


def python_of(environment: str | None) -> str:
    """The Python that has what the model needs. Raises Failure when the environment is not built."""
    if environment is None:
        return sys.executable
    # Of the newest build itself, which stays as it is: the link to it may soon lead to another.
    python = (Path(sys.prefix) / "environments" / environment).resolve() / "bin" / "python"
    if not python.exists():
        raise Failure(f"the environment {environment} is not built: {environments.command(environment)}")
    return str(python)


def run(
    python: str, request: dict[str, Any], *, seconds: float = SECONDS, **environment: str
) -> dict[str, Any]:
    """What `trial` answers; `error` in it says what went wrong with the model. Raises Failure."""
    with tempfile.TemporaryDirectory(prefix="marina-trial-") as folder:
        answer = Path(folder) / "answer.json"
        known = {**os.environ, "PYTHONPATH": str(Path(serving_runtime.__file__).parents[1]), **environment}
        try:
            done = subprocess.run(
                [python, str(SCRIPT)],
                input=json.dumps({**request, "answer": str(answer)}),
                env=known,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Failure(
                f"the model did not answer within {seconds:.0f} s: allow more by --timeout"
            ) from error
        if not answer.exists():
            said = one_line(done.stderr[-300:]) or f"exit code {done.returncode}"
            raise Failure(f"the process that ran the model ended: {said}")
        found: dict[str, Any] = json.loads(answer.read_text())
        return found
