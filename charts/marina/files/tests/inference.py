"""A deployed model answers its golden request over the v2 protocol with its golden answer.

Both are in the archive, which the API hands out. The model may still be starting: it gets its time.
"""

import io
import json
import math
import os
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

TOKEN = Path("/run/secrets/auth/admin-token")
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN.read_text().strip()}"} if TOKEN.exists() else {}
MODEL = os.environ["MODEL"]
END = time.monotonic() + float(os.environ["SECONDS"])


def until_it_works(
    what: str, ask: Callable[[], httpx.Response], fits: Callable[[httpx.Response], bool] = lambda _: True
) -> httpx.Response:
    """The first fitting answer with status 200; fails with the last one when the time is over."""
    while True:
        try:
            answer = ask()
            if answer.status_code == 200 and fits(answer):
                return answer
            last = f"{answer.status_code} {answer.text[:500]}"
        except httpx.TransportError as error:
            last = repr(error)
        assert time.monotonic() < END, f"{what}: {last}"
        time.sleep(1)


def same(expected: Any, found: Any) -> bool:
    """Whether two tensors' data are equal; numbers may differ by 1e-4."""
    if isinstance(expected, list):
        return len(expected) == len(found) and all(map(same, expected, found))
    if isinstance(expected, float):
        return math.isclose(expected, found, rel_tol=1e-4, abs_tol=1e-4)
    return bool(expected == found)


with (
    httpx.Client(base_url=os.environ["API_URL"], headers=AUTHORIZATION, timeout=30, trust_env=False) as api,
    httpx.Client(
        base_url=os.environ["SERVING_URL"], headers=AUTHORIZATION, timeout=30, trust_env=False
    ) as serving,
):
    experiment, version = os.environ.get("EXPERIMENT"), os.environ.get("VERSION")
    if experiment is None:
        deployment = until_it_works("the API", lambda: api.get(f"/v1/deployments/{MODEL}")).json()
        experiment, version = deployment["experiment"], deployment["version"]
    path = f"/artifacts/{experiment}/{version}/{experiment}.mar"
    archive = until_it_works("the archive", lambda: api.get(path))
    with zipfile.ZipFile(io.BytesIO(archive.content)) as file:
        golden = json.loads(file.read("golden.json"))

    headers = {"Host": os.environ["HOST"]} if os.environ.get("HOST") else {}
    infer = f"/v2/models/{MODEL}/infer"
    begin = time.monotonic()
    # During a rollout the version before may still answer.
    answer = until_it_works(
        infer,
        lambda: serving.post(infer, json=golden["request"], headers=headers),
        lambda answer: answer.json().get("model_version") == str(version),
    ).json()
    outputs = {output["name"]: output for output in answer["outputs"]}
    for expected in golden["response"]["outputs"]:
        found = outputs[expected["name"]]
        assert found["shape"] == expected["shape"], f"{expected['name']}: shape {found['shape']}"
        assert same(expected["data"], found["data"]), f"{expected['name']}: {found['data']}"
    seconds = time.monotonic() - begin
    sys.stdout.write(f"{MODEL} version {version} answered its golden request after {seconds:.1f} s\n")
