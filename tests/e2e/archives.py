"""Further versions of a starter experiment: one that is as good, and ones that cannot be loaded."""

import zipfile
from pathlib import Path
from typing import Any

from serving_runtime.archive import mar
from tests.e2e.cluster import deployment, outside, wait_ready

BROKEN = {
    "raises": ("raise RuntimeError('the weights do not fit')", "the weights do not fit"),
    "ends": ("import os; os._exit(7)", "the worker process died"),
    "takes all memory": ("held = [bytearray(64 * 1024 * 1024) for _ in range(64)]", "memory"),
}


def again(source: Path, target: Path, note: str, *, first: str = "") -> Path:
    """The archive `source` with other bytes: a note in its README, and `first` run when it is loaded."""
    with zipfile.ZipFile(source) as archive:
        files: dict[str, bytes | Path] = {
            name: archive.read(name) for name in archive.namelist() if not name.startswith("MAR-INF/")
        }
    files["NOTE"] = note.encode()
    if first:
        handler = files["handler.py"]
        assert isinstance(handler, bytes)
        files["handler.py"] = handler + f"\n\nif True:\n    {first}\n".encode()
    name = source.stem
    mar.build(target, name=name, handler="handler.py", serialized_file="weights.safetensors", files=files)
    return target


def upload(experiment: str, archive: Path) -> int:
    """Make an archive the next version of an experiment; its number."""
    with outside(timeout=120) as client:
        answer = client.post(
            f"/v1/experiments/{experiment}/versions",
            content=archive.read_bytes(),
            headers={"Content-Type": "application/octet-stream"},
        )
        assert answer.status_code in (200, 201), answer.text
        return int(answer.json()["version"])


def change(name: str, **body: Any) -> None:
    """Want something else of a deployment."""
    with outside() as client:
        answer = client.patch(f"/v1/deployments/{name}", json=body)
        assert answer.status_code == 200, answer.text


def roll_back(name: str) -> None:
    """Want the version before."""
    with outside() as client:
        answer = client.post(f"/v1/deployments/{name}/rollback")
        assert answer.status_code == 200, answer.text


def serve(name: str, version: int) -> None:
    """Make a deployment answer in this version, whatever the tests before left it in."""
    if deployment(name)["version"] != version:
        change(name, version=version)
    wait_ready(name, version)
