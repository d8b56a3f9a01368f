#!/usr/bin/env python3
"""Register trained starter experiments with the metadata API and deploy them, as often as one likes.

    python models/register.py --api http://127.0.0.1:8000 --models .marina/models

The launcher and the chart's job call it. What an archive says about itself (its model spec and its
training record) becomes the experiment; the archive becomes a version. The same archive twice is one
version. A starter is deployed once, when it is new: with `--remember FILE`, later runs leave every
deployment as people have changed, stopped or deleted it. `--deploy NAMES` deploys only these.
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from serving_runtime.archive.mar import MarInfo, inspect

PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.5
# Digits run as deployments do by default; a Java for each of the other starters would fill a small machine.
DIGITS, LIGHT_RUNTIME = "mnist-10k", "native"


class Rejected(Exception):
    """The API does not accept something; the text says what and why."""


class Unsigned(Exception):
    """The API takes signed archives only, and this one has no signature beside it."""


class Api:
    """The few calls that registration needs; 503 and a lost connection are tried again for a minute."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def experiment(self, info: MarInfo) -> bool:
        """Create the experiment of an archive; whether it is new."""
        assert info.spec is not None
        training = info.training or {}
        body = {
            "name": info.spec.name,
            "description": info.spec.description,
            "parameters": {
                "network": info.spec.network,
                **training.get("parameters", info.spec.parameters),
                "seed": training.get("seed", info.spec.seed),
            },
            "curves": training.get("curves", {}),
            "source": "starter",
        }
        return self._post("/v1/experiments", json=body, known=409).status_code == 201

    def version(self, name: str, path: Path) -> tuple[int, bool]:
        """Upload an archive, with the signature beside it; its version's number and whether it is new.

        Raises Unsigned when there is none and the API wants one.
        """
        signature = path.with_name(f"{path.name}.sig")
        archive = path.read_bytes()
        content: dict[str, Any]
        if signature.exists():
            content = {"files": {"file": archive, "signature": signature.read_bytes()}}
        else:
            content = {"content": archive, "headers": {"Content-Type": "application/octet-stream"}}
        address = f"/v1/experiments/{name}/versions"
        answer = self._post(address, known=400, **content)
        if not answer.is_success:
            if answer.json()["error"] == "signature_missing":
                raise Unsigned
            raise _rejected(address, answer)
        return int(answer.json()["version"]), answer.status_code == 201

    def deploy(self, info: MarInfo, name: str, version: int) -> bool:
        """Deploy an experiment under its own name; whether the deployment is new."""
        body = {"name": name, "experiment": name, "version": version}
        data = ((info.training or {}).get("dataset") or {}).get("name", DIGITS)
        if data != DIGITS:
            body["runtime"] = LIGHT_RUNTIME
        return self._post("/v1/deployments", json=body, known=409).status_code == 201

    def _post(self, path: str, *, known: int = 0, **content: Any) -> httpx.Response:
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = self._client.post(path, **content)
            except httpx.TransportError as error:
                if time.monotonic() > end:
                    raise Rejected(f"POST {path}: the API does not answer: {error}") from error
            else:
                if answer.is_success or answer.status_code == known:
                    return answer
                if answer.status_code != 503 or time.monotonic() > end:
                    raise _rejected(path, answer)
            time.sleep(PAUSE_SECONDS)


def _rejected(path: str, answer: httpx.Response) -> Rejected:
    return Rejected(f"POST {path}: {answer.status_code} {answer.text[:500]}")


def archives_of(paths: list[Path]) -> list[Path]:
    """The archives among these files and in these folders."""
    return sorted(found for path in paths for found in (path.rglob("*.mar") if path.is_dir() else [path]))


def register(
    api: Api, archives: list[Path], remember: Path | None = None, deploy: set[str] | None = None
) -> str:
    """Register archives and deploy those in `deploy`, by default all; one line that says what was new.

    Where archives must be signed, one without `ARCHIVE.sig` beside it is left out, and the line says so.
    Raises Rejected when the API rejects one, MarError when an archive is broken.
    """
    deployed = _remembered(remember)
    new = {"experiment": 0, "version": 0, "deployment": 0}
    unsigned = []
    for path in archives:
        info = inspect(path)
        if info.spec is None:
            raise Rejected(f"{path} has no model.yaml, so its name is not known")
        name = info.spec.name
        new["experiment"] += api.experiment(info)
        try:
            version, is_new = api.version(name, path)
        except Unsigned:
            unsigned.append(path.name)
            continue
        new["version"] += is_new
        if name not in deployed and (deploy is None or name in deploy):
            new["deployment"] += api.deploy(info, name, version)
            deployed.add(name)
            _write(remember, deployed)
    counts = ", ".join(_count(number, what) for what, number in new.items())
    said = f"{_count(len(archives), 'starter')} known; new: {counts}"
    return f"{said}; left out, because they are not signed: {', '.join(unsigned)}" if unsigned else said


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _remembered(path: Path | None) -> set[str]:
    if path is None or not path.exists():
        return set()
    return set(json.loads(path.read_text()))


def _write(path: Path | None, names: set[str]) -> None:
    """After each deployment, so that an interrupted run neither forgets one nor makes one twice."""
    if path is not None:
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(sorted(names)))
        os.replace(temporary, path)


def _authorization(token_file: Path | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_file.read_text().strip()}"} if token_file else {}


def main() -> int:
    """Register every `.mar` in a folder; exit code 1 with a line when the API rejects one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--api", default="http://127.0.0.1:8000", help="address of the metadata API")
    parser.add_argument(
        "--token-file", type=Path, help="file with an API token of the role publisher or above"
    )
    parser.add_argument(
        "--models",
        type=Path,
        required=True,
        nargs="+",
        metavar="PATH",
        help="trained .mar files, and folders of them",
    )
    parser.add_argument("--remember", type=Path, help="file that lists starters that were deployed before")
    parser.add_argument("--deploy", help="names of those to deploy, with commas between; by default all")
    arguments = parser.parse_args()
    # As the first process of a container it would not even notice.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    deploy = None if arguments.deploy is None else set(filter(None, arguments.deploy.split(",")))
    try:
        headers = _authorization(arguments.token_file)
        with httpx.Client(base_url=arguments.api, headers=headers, timeout=60, trust_env=False) as client:
            sys.stdout.write(
                register(Api(client), archives_of(arguments.models), arguments.remember, deploy) + "\n"
            )
    except (Rejected, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
