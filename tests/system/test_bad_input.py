"""What people send by mistake or on purpose: a clear 4xx, and nothing is stored."""

import io
import json
import zipfile
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import Stack
from tests.metadata_api.making import huge_png

LISTS = ("/v1/experiments", "/v1/deployments", "/v1/aliases", "/v1/predictions", "/v1/imports")


@pytest.fixture(autouse=True)
def nothing_is_stored(api: httpx.Client, stack: Stack) -> Iterator[None]:
    """Whatever a test of this file sends, every list and the store are the same afterwards."""

    def state() -> list[object]:
        totals: list[object] = [api.get(path).json()["total"] for path in LISTS]
        objects = [str(path) for path in (stack.home / "store").rglob("*") if path.is_file()]
        return [*totals, *sorted(objects)]

    before = state()
    yield
    assert state() == before


def rejected(answer: httpx.Response, status: int, words: str) -> None:
    """The answer has this status, a code, and a text that names the problem without showing our insides."""
    assert answer.status_code == status, answer.text[:500]
    body = answer.json()
    assert set(body) == {"error", "detail"}
    assert words in body["detail"].lower()
    assert "traceback" not in answer.text.lower()
    assert len(answer.content) < 8192


def rejected_by_v2(answer: httpx.Response, status: int, words: str) -> None:
    """The same for v2, whose errors are a text and a code."""
    assert answer.status_code == status, answer.text[:500]
    assert set(answer.json()) == {"error", "code"}
    assert words in answer.json()["error"].lower()


def test_a_file_that_is_no_image(api: httpx.Client) -> None:
    rejected(api.post("/v1/predictions", files={"image": b"this is text"}), 415, "png")


def test_a_png_of_100_megapixels(api: httpx.Client) -> None:
    image = huge_png(10_000, 10_000)
    assert len(image) < 100_000
    rejected(api.post("/v1/predictions", files={"image": image}), 413, "pixels")


def test_a_body_of_50_megabytes(api: httpx.Client, v2: httpx.Client) -> None:
    rejected(api.post("/v1/predictions", content=b"x" * 50_000_000), 413, "limit")
    rejected_by_v2(v2.post("/cnn-baseline/infer", content=b"x" * 50_000_000), 413, "bytes")


def test_a_tensor_of_the_wrong_shape(v2: httpx.Client) -> None:
    tensor = {"name": "image", "shape": [1, 28, 27], "datatype": "UINT8", "data": [0] * 756}
    rejected_by_v2(v2.post("/cnn-baseline/infer", json={"inputs": [tensor]}), 400, "shape")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_number_that_is_none(v2: httpx.Client, number: str) -> None:
    data = ", ".join([number] + ["0.0"] * 783)
    body = f'{{"inputs": [{{"name": "image", "shape": [1, 28, 28], "datatype": "FP32", "data": [{data}]}}]}}'
    answer = v2.post("/cnn-baseline/infer", content=body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "code"}


def test_an_unknown_experiment(api: httpx.Client) -> None:
    rejected(api.get("/v1/experiments/unknown"), 404, "unknown")
    rejected(api.post("/v1/deployments", json={"experiment": "unknown"}), 404, "unknown")
    rejected(api.post("/v1/experiments/unknown/versions", content=b"PK"), 404, "unknown")


def test_an_alias_that_leads_nowhere_or_takes_a_deployments_name(api: httpx.Client) -> None:
    rejected(api.put("/v1/aliases/champion", json={"deployment": "unknown"}), 404, "unknown")
    rejected(api.put("/v1/aliases/mlp-wide", json={"deployment": "cnn-baseline"}), 409, "another name")


def test_a_second_experiment_of_the_same_name(api: httpx.Client) -> None:
    rejected(api.post("/v1/experiments", json={"name": "cnn-baseline"}), 409, "cnn-baseline")


def test_an_archive_that_is_no_zip(api: httpx.Client) -> None:
    rejected(api.post("/v1/experiments/cnn-baseline/versions", content=b"not a zip" * 100), 400, "zip")


def test_an_archive_that_writes_outside_its_folder(api: httpx.Client) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        model = {"modelName": "x", "handler": "handler.py", "modelVersion": "1.0"}
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps({"runtime": "python", "model": model}))
        archive.writestr("handler.py", "")
        archive.writestr("../../etc/cron.d/evil", "")
    rejected(api.post("/v1/experiments/cnn-baseline/versions", content=file.getvalue()), 400, "name")


@pytest.mark.parametrize("name", ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "a/../b"])
def test_a_name_that_climbs(api: httpx.Client, name: str) -> None:
    rejected(api.post("/v1/experiments", json={"name": name}), 422, "name")
    # The path is written by hand, because a polite client would resolve the dots itself.
    answer = api.get(httpx.URL(str(api.base_url), raw_path=f"/v1/experiments/{name}".encode()))
    assert answer.status_code in (404, 422)
    assert "root:" not in answer.text


def test_a_csv_in_an_encoding_that_nobody_can_tell(api: httpx.Client) -> None:
    content = "Experiment Name,Learning Rate,Momentum,Loss\nопыт,0.1,0.9,{}\n".encode("cp1251")
    rejected(api.post("/v1/imports", files={"file": content}), 400, "line 2")


def test_an_empty_csv(api: httpx.Client) -> None:
    rejected(api.post("/v1/imports", content=b""), 400, "empty")
