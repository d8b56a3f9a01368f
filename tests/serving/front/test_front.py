"""The v2 front over HTTP, with real TorchServes behind it."""

import base64
import io
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from importlib.metadata import version

import httpx
import orjson
import pytest
from PIL import Image

from tests.waiting import until

from ..conftest import QUEUE_LIMIT, Front, body_of

GOLDEN = [1, 2, 3, 4, 5, 6]


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


def ask_with_images(front: Front, *texts: str) -> httpx.Response:
    image = {"name": "image", "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)}
    return front.client.post("/v2/models/summing/infer", content=orjson.dumps({"inputs": [image]}))


def error_of(response: httpx.Response) -> str:
    document = response.json()
    assert list(document) == ["error", "code"]
    return str(document["error"])


class TestMetadata:
    @pytest.mark.parametrize("path", ["/v2", "/v2/"])
    def test_the_server_names_itself(self, front: Front, path: str) -> None:
        answer = front.client.get(path)
        assert answer.status_code == 200
        assert answer.json() == {
            "name": "marina",
            "version": version("marina-serving"),
            "extensions": ["binary_tensor_data", "model_configuration", "statistics"],
        }

    def test_the_server_is_live_and_ready(self, front: Front) -> None:
        assert front.client.get("/v2/health/live").json() == {"live": True}
        assert front.client.get("/v2/health/ready").json()["ready"] is True

    @pytest.mark.parametrize(
        "path", ["/v2/models/summing", "/v2/models/summing/versions/1", "/v2/models/summing/"]
    )
    def test_a_model_describes_its_tensors(self, front: Front, path: str) -> None:
        document = front.client.get(path).json()
        assert document["name"] == "summing"
        assert document["versions"] == ["1"]
        assert document["platform"]
        assert document["inputs"] == [
            {
                "name": "image",
                "datatype": "UINT8",
                "shape": [-1, 2, 3],
                "parameters": {
                    "kind": "image",
                    "content_type": "np",
                    "width": 3,
                    "height": 2,
                    "channels": 1,
                    "layout": "HW",
                    "minimum": 0,
                    "maximum": 255,
                },
            }
        ]
        assert [item["parameters"] for item in document["outputs"]] == [
            {"kind": "number", "content_type": "np"},
            {"kind": "text", "content_type": "str"},
        ]
        assert [output["name"] for output in document["outputs"]] == ["total", "label"]

    @pytest.mark.parametrize("path", ["/v2/models/summing/ready", "/v2/models/summing/versions/1/ready"])
    def test_a_model_is_ready(self, front: Front, path: str) -> None:
        assert front.client.get(path).json() == {"name": "summing", "ready": True}

    def test_head_answers_without_a_body(self, front: Front) -> None:
        answer = front.client.head("/v2/health/live")
        assert (answer.status_code, answer.content) == (200, b"")


class TestInfer:
    def test_the_golden_request_gets_the_golden_answer(self, front: Front) -> None:
        assert front.infer("summing", GOLDEN, id="seven").json() == {
            "model_name": "summing",
            "model_version": "1",
            "id": "seven",
            "outputs": [
                {"name": "total", "datatype": "FP32", "shape": [1], "data": [21.0]},
                {"name": "label", "datatype": "BYTES", "shape": [1], "data": ["sum 21"]},
            ],
        }

    def test_a_version_in_the_address_is_obeyed(self, front: Front) -> None:
        assert front.infer("summing", GOLDEN, version="1").status_code == 200
        assert front.infer("summing", GOLDEN, version="2").status_code == 404

    def test_two_models_answer_each_for_itself(self, front: Front) -> None:
        assert front.infer("summing", GOLDEN).json()["outputs"][0]["data"] == [21.0]
        assert front.infer("other", GOLDEN).json()["outputs"][0]["data"] == [1021.0]

    def test_many_rows_in_one_request(self, front: Front) -> None:
        outputs = front.infer("summing", [1] * 6 + [2] * 6 + [3] * 6).json()["outputs"]
        assert outputs[0]["data"] == [6.0, 12.0, 18.0]
        assert outputs[1]["shape"] == [3]

    def test_more_rows_than_a_batch_holds(self, front: Front) -> None:
        assert front.infer("summing", [1] * 600).json()["outputs"][0]["data"] == [6.0] * 100

    def test_only_the_outputs_that_were_asked_for(self, front: Front) -> None:
        outputs = front.infer("summing", GOLDEN, outputs=[{"name": "label"}]).json()["outputs"]
        assert [output["name"] for output in outputs] == ["label"]

    def test_what_the_model_saw_on_request(self, front: Front) -> None:
        outputs = front.infer("summing", GOLDEN, parameters={"return_preprocessed": True}).json()["outputs"]
        assert outputs[-1] == {
            "name": "preprocessed",
            "datatype": "UINT8",
            "shape": [1, 2, 3],
            "data": GOLDEN,
        }

    def test_floats_are_another_accepted_datatype(self, front: Front) -> None:
        image = {
            "name": "image",
            "datatype": "FP32",
            "shape": [1, 2, 3],
            "data": [[[0.5, 1, 0], [0, 0, 0.25]]],
        }
        answer = front.client.post("/v2/models/summing/infer", content=orjson.dumps({"inputs": [image]}))
        assert answer.json()["outputs"][0]["data"] == [1.75]

    def test_an_archive_in_torchserves_own_style(self, front: Front) -> None:
        data = {"name": "data", "datatype": "BYTES", "shape": [2], "data": ["abc", '{"a": 1}']}
        answer = front.client.post("/v2/models/plain/infer", content=orjson.dumps({"inputs": [data]}))
        results = [orjson.loads(item) for item in answer.json()["outputs"][0]["data"]]
        assert results == [
            {"handler": "handler.py", "kind": "bytearray", "length": 3},
            {"handler": "handler.py", "kind": "dict", "length": 1},
        ]

    @pytest.mark.parametrize("headers", [[], ["-H", "Content-Type:"], ["-H", "Content-Type: text/plain"]])
    def test_curl_needs_no_content_type(self, front: Front, headers: list[str]) -> None:
        url = f"{front.url}/v2/models/summing/infer"
        command = ["curl", "-s", "-m", "10", *headers, "-d", body_of(GOLDEN).decode(), url]
        output = subprocess.run(command, capture_output=True, check=True, timeout=20).stdout
        assert orjson.loads(output)["outputs"][0]["data"] == [21.0]


class TestImages:
    def test_png_and_jpeg_as_base64(self, front: Front) -> None:
        file = png(20, 10)
        answer = ask_with_images(front, base64.b64encode(file).decode(), base64.encodebytes(file).decode())
        assert answer.json()["outputs"][0]["data"] == [6.0 * (len(file) % 256)] * 2

    def test_a_100_megapixel_png_is_rejected_without_decoding(self, front: Front) -> None:
        bomb = base64.b64encode(png(10_000, 10_000)).decode()
        began = time.monotonic()
        answer = ask_with_images(front, bomb)
        assert answer.status_code == 400
        assert "megapixels" in error_of(answer)
        assert time.monotonic() - began < 0.5

    @pytest.mark.parametrize(
        "text", ["", "hello", base64.b64encode(b"GIF89a....").decode(), "iVBORw0KGgo", "%%%"]
    )
    def test_what_is_no_image_is_told_how_to_send_one(self, front: Front, text: str) -> None:
        answer = ask_with_images(front, text)
        assert answer.status_code == 400
        assert "PNG" in error_of(answer)


class TestRefusals:
    def test_wrong_input_names_the_tensor(self, front: Front) -> None:
        answer = front.infer("summing", [1, 2, 3, 4, 5, 256])
        assert answer.status_code == 400
        assert "'image'" in error_of(answer)

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/", 404),
            ("GET", "/v2/nothing", 404),
            ("GET", "/v2/models", 404),
            ("GET", "/v2/models/none", 404),
            ("GET", "/v2/models/none/ready", 404),
            ("GET", "/v2/models/summing/versions/9", 404),
            ("GET", "/v2/models/summing/versions", 404),
            ("POST", "/v2/models/none/infer", 404),
            ("POST", "/v2/models/a/b/infer", 404),
            ("GET", "/v2/models/summing/infer", 405),
            ("POST", "/v2/models/summing", 405),
            ("DELETE", "/v2", 405),
        ],
    )
    def test_addresses_and_methods_that_are_not_there(
        self, front: Front, method: str, path: str, status: int
    ) -> None:
        answer = front.client.request(method, path)
        assert answer.status_code == status
        assert error_of(answer)
        assert ("allow" in answer.headers) == (status == 405)

    def test_a_large_body_is_rejected_by_its_length(self, front: Front) -> None:
        answer = front.client.post("/v2/models/summing/infer", content=b" " * (2 * 1024 * 1024))
        assert answer.status_code == 413
        assert error_of(answer)

    def test_a_large_body_is_rejected_while_it_streams(self, front: Front) -> None:
        answer = front.client.post("/v2/models/summing/infer", content=(b" " * 65536 for _ in range(40)))
        assert answer.status_code == 413

    def test_an_encoding_that_is_not_known_is_rejected_with_those_that_are(self, front: Front) -> None:
        answer = front.client.post(
            "/v2/models/summing/infer", content=b"\x0b\x00", headers={"Content-Encoding": "br"}
        )
        assert answer.status_code == 415
        assert "gzip, deflate" in error_of(answer)
        assert answer.headers["accept-encoding"] == "gzip, deflate"

    def test_a_value_error_of_the_handler_is_the_clients_fault(self, front: Front) -> None:
        answer = front.infer("summing", [251, 0, 0, 0, 0, 0])
        assert answer.status_code == 400
        assert error_of(answer) == "the first pixel may not be 251"

    def test_another_error_of_the_handler_is_the_models_fault(self, front: Front) -> None:
        answer = front.infer("summing", [252, 0, 0, 0, 0, 0])
        assert answer.status_code == 502
        assert "broken at 252" in error_of(answer)

    def test_nan_in_an_answer_is_the_models_fault(self, front: Front) -> None:
        answer = front.infer("summing", [250, 0, 0, 0, 0, 0])
        assert answer.status_code == 502
        assert "NaN" in error_of(answer)


class TestBatches:
    def test_concurrent_clients_are_batched_and_each_gets_its_own_answer(self, front: Front) -> None:
        before = metric(front, "marina_batch_requests_count"), metric(front, "marina_batch_requests_sum")
        address = front.url.removeprefix("http://")
        with ExitStack() as stack:
            clients = [stack.enter_context(closing(HTTPConnection(address, timeout=20))) for _ in range(32)]
            for step in range(10):
                pixels = [[number, step, 0, 0, 0, 1] for number in range(32)]
                for client, asked in zip(clients, pixels, strict=True):
                    client.request("POST", "/v2/models/summing/infer", body_of(asked))
                answers = [orjson.loads(client.getresponse().read()) for client in clients]
                assert [answer["outputs"][0]["data"][0] for answer in answers] == list(map(sum, pixels))
        calls = metric(front, "marina_batch_requests_count") - before[0]
        requests = metric(front, "marina_batch_requests_sum") - before[1]
        assert requests >= 320
        assert requests / calls > 1.5

    def test_a_bad_item_does_not_fail_its_mates(self, front: Front) -> None:
        slow = [253, 0, 0, 0, 0, 0]  # keeps the model busy, so that the others share a batch
        rows = [
            slow,
            slow,
            [251, 0, 0, 0, 0, 0],
            [252, 0, 0, 0, 0, 0],
            *([n, 1, 1, 1, 1, 1] for n in range(12)),
        ]
        before = front.batches("summing")
        with ThreadPoolExecutor(len(rows)) as pool:
            first = [pool.submit(front.infer, "summing", row) for row in rows[:2]]
            until(lambda: front.batches("summing") > before, "the model is busy")
            rest = [pool.submit(front.infer, "summing", row) for row in rows[2:]]
            answers = [future.result() for future in first + rest]
        assert [answer.status_code for answer in answers] == [200, 200, 400, 502] + [200] * 12
        assert [answer.json()["outputs"][0]["data"] for answer in answers[4:]] == [
            [n + 5.0] for n in range(12)
        ]

    def test_a_full_queue_answers_503_at_once(self, front: Front) -> None:
        slow = [253, 0, 0, 0, 0, 0]
        with ThreadPoolExecutor(QUEUE_LIMIT * 3) as pool:
            answers = list(pool.map(lambda _: front.infer("summing", slow * 16), range(QUEUE_LIMIT * 2)))
        rejected = [answer for answer in answers if answer.status_code == 503]
        assert rejected
        assert all(answer.headers["retry-after"] == "1" for answer in rejected)
        assert max(answer.elapsed.total_seconds() for answer in rejected) < 2
        assert {answer.status_code for answer in answers} <= {200, 503, 504}
        assert front.infer("summing", GOLDEN).status_code == 200


class TestMetrics:
    def test_requests_errors_latency_and_batches_are_counted(self, front: Front) -> None:
        front.infer("summing", GOLDEN)
        front.infer("summing", [1])
        front.infer("none", GOLDEN)
        text = front.client.get("/metrics").text
        assert 'marina_infer_requests_total{code="200",model="summing",version="1"}' in text
        assert 'marina_infer_requests_total{code="400",model="summing",version="1"}' in text
        assert 'marina_infer_requests_total{code="404",model="",version=""}' in text
        assert 'marina_infer_seconds_bucket{le="0.128",model="summing",version="1"}' in text
        assert 'marina_batch_rows_bucket{le="16.0",model="summing",version="1"}' in text
        assert 'marina_queue_requests{model="other",version="1"} 0.0' in text
        assert 'marina_model_ready{model="plain",version="1"} 1.0' in text
        assert 'marina_worker_restarts_total{model="other",version="1"} 0.0' in text


def metric(front: Front, name: str) -> float:
    start = f'{name}{{model="summing"'
    lines = front.client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(start))
