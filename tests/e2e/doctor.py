"""`make doctor` on the cluster of the tests."""

import os
import subprocess

from tests.e2e.cluster import NAMESPACE, RELEASE, ROOT, wait_for

# What it may take by its own promise, and some more for a machine that is busy with tests.
SECONDS = 60


def doctor(*options: str, namespace: str = NAMESPACE, kubeconfig: str | None = None) -> tuple[int, list[str]]:
    """(exit code, lines) of the doctor."""
    environment = {**os.environ, "NAMESPACE": namespace, "RELEASE": RELEASE, "CLUSTER": "test"}
    environment["DOCTOR"] = " ".join([*options, *(["--kubeconfig", kubeconfig] if kubeconfig else [])])
    done = subprocess.run(
        [str(ROOT / "k8s" / "doctor" / "run")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def wait_until_named(text: str, level: str = "FAIL", seconds: float = 120) -> str:
    """The doctor's line that has the text, as soon as it says so; and its exit code is the one of that level."""

    def look() -> str:
        code, lines = doctor()
        found = [line for line in lines if line.startswith(level) and text in line]
        assert found, "\n".join(lines)
        assert level == "warn" or code == 1, f"exit code {code}"
        return found[0]

    line = wait_for(f"the doctor names it: {text}", look, seconds)
    print(f"\n{line}")
    return line


def wait_until_well(seconds: float = 240) -> None:
    """Wait until the doctor has nothing but good news."""

    def look() -> bool:
        code, lines = doctor()
        assert code == 0, "\n".join(lines)
        assert not [line for line in lines if line.startswith("warn")], "\n".join(lines)
        return True

    wait_for("the doctor finds all well", look, seconds)
