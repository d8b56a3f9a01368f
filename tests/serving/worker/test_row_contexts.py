"""What a handler's context tells and takes for each row of a batch, and what comes of it, in a worker's own code."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving_runtime.protocol import frames
from serving_runtime.protocol.tensors import Tensor
from serving_runtime.worker import batches
from serving_runtime.worker.handlers import HandlerAdapter

Load = Callable[..., HandlerAdapter]
FUNCTION = "def handle(data, context):\n    if data is None:\n        return None\n"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a handler of this source, with the files of the test's folder beside it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    # Bytecode is told apart by second and size: of two sources of one size the first could be loaded twice.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def loaded(source: str, handler: str = "handler.py", **model: Any) -> HandlerAdapter:
        (tmp_path / handler.partition(":")[0]).write_text(source, "utf-8")
        manifest = {"model": {"modelName": "rows", "handler": handler, "modelVersion": "1.0", **model}}
        adapter, problem = batches.load(tmp_path, manifest)
        assert adapter is not None, problem
        return adapter

    return loaded


def ask(model: HandlerAdapter, *requests: list[str], **header: Any) -> tuple[dict[str, Any], list[str]]:
    """Send a batch of requests, each a list of rows; the header of the answer, and all answered rows."""
    rows = [row.encode() for request in requests for row in request]
    tensor = Tensor("data", "BYTES", (len(rows),), list(rows))
    sent = b"".join(frames.encode({"rows": list(map(len, requests)), **header}, [tensor]))
    found, outputs = frames.decode(b"".join(batches.run_batch(model, sent)))
    texts = [element.decode() for output in outputs for element in output.data if isinstance(element, bytes)]
    return found, texts


class TestStatus:
    ROWS = FUNCTION + (
        "    for at, row in enumerate(data):\n"
        "        if row['body'].startswith(b'bad'):\n"
        "            context.set_response_status(CODE, 'too bad', at)\n"
        "    return [row['body'].decode() for row in data]\n"
    )

    def test_concerns_the_request_of_its_row_and_no_other(self, load: Load) -> None:
        found, texts = ask(load(self.ROWS.replace("CODE", "418")), ["a", "b"], ["c", "bad"], ["bad"], ["d"])
        assert found["errors"] == {
            "1": {"kind": "status", "status": 418, "text": "row 1: too bad: bad"},
            "2": {"kind": "status", "status": 418, "text": "too bad: bad"},
        }
        assert texts == ["a", "b", "d"]

    def test_of_an_output_of_several_elements_a_row_shows_nobody_anothers(
        self, load: Load, tmp_path: Path
    ) -> None:
        (tmp_path / "model.yaml").write_text("present")
        model = load(
            "import numpy as np\nclass H:\n    def initialize(self, context): pass\n"
            "    def predict(self, inputs, *, context):\n"
            "        context.set_response_status(422, 'bad', 1)\n"
            "        return {'top': np.array([['first', 'secret'], ['b1', 'b2']], dtype=object)}\n"
        )
        found, _ = ask(model, ["a"], ["b"])
        assert found["errors"]["1"]["status"] == 422
        assert "secret" not in str(found)

    @pytest.mark.parametrize(
        "lost", ["sys.stderr = None", "sys.stderr = __import__('io').StringIO(); sys.stderr.close()"]
    )
    def test_an_error_of_a_handler_without_its_stderr_is_an_error_of_its_request(
        self, load: Load, monkeypatch: pytest.MonkeyPatch, lost: str
    ) -> None:
        monkeypatch.setattr(sys, "stderr", sys.stderr)
        model = load(f"import sys\n{FUNCTION}    {lost}\n    raise ValueError('of the data')\n")
        assert "of the data" in ask(model, ["a"])[0]["errors"]["0"]["text"]

    def test_is_forgotten_before_the_next_batch(self, load: Load) -> None:
        model = load(self.ROWS.replace("CODE", "400"))
        assert ask(model, ["bad"])[0]["errors"]
        assert ask(model, ["a"]) == ({"errors": {}}, ["a"])

    @pytest.mark.parametrize("code", ["200", "204", "299", "None", "__import__('http').HTTPStatus.OK"])
    def test_of_success_changes_nothing(self, code: str, load: Load) -> None:
        assert ask(load(self.ROWS.replace("CODE", code)), ["bad"], ["a"]) == ({"errors": {}}, ["bad", "a"])

    @pytest.mark.parametrize("code", ["400", "599", "__import__('numpy').int64(422)"])
    def test_of_an_error_may_be_any_integer(self, code: str, load: Load) -> None:
        found, _ = ask(load(self.ROWS.replace("CODE", code)), ["bad"])
        assert found["errors"]["0"]["kind"] == "status"

    @pytest.mark.parametrize(
        "code", ["0", "-1", "100", "302", "600", "'400'", "[400]", "float('nan')", "True"]
    )
    def test_that_is_none_is_the_models_fault(self, code: str, load: Load) -> None:
        found, texts = ask(load(self.ROWS.replace("CODE", code)), ["bad"], ["a"])
        assert found["errors"]["0"]["kind"] == "model"
        assert "status" in found["errors"]["0"]["text"]
        assert texts == ["a"]

    def test_of_all_rows_is_that_of_all_requests(self, load: Load) -> None:
        source = (
            FUNCTION + "    context.set_all_response_status(503, 'later')\n    return ['x'] * len(data)\n"
        )
        found, texts = ask(load(source), ["a"], ["b"])
        assert [error["status"] for error in found["errors"].values()] == [503, 503]
        assert texts == []

    @pytest.mark.parametrize(("raised", "status"), [("'no'", 500), ("'no', 429", 429), ("'no', 418", 418)])
    def test_of_a_prediction_exception_is_that_of_its_request(
        self, raised: str, status: int, load: Load
    ) -> None:
        source = (
            "from ts.utils.util import PredictionException\n"
            + FUNCTION
            + f"    if any(row['body'] == b'bad' for row in data):\n        raise PredictionException({raised})\n"
            + "    return ['fine'] * len(data)\n"
        )
        found, texts = ask(load(source), ["a"], ["bad"], ["b"])
        assert found["errors"] == {"1": {"kind": "status", "status": status, "text": "no"}}
        assert texts == ["fine", "fine"]

    @pytest.mark.parametrize("error", ["'no', 99", "'no', None", "'no', 'x'"])
    def test_of_a_prediction_exception_that_is_none_is_the_models_fault(self, error: str, load: Load) -> None:
        source = (
            "from ts.utils.util import PredictionException\n"
            + FUNCTION
            + f"    raise PredictionException({error})\n"
        )
        assert ask(load(source), ["a"])[0]["errors"]["0"]["kind"] == "model"

    def test_of_a_row_that_is_not_there_fails_the_batch_as_any_error_does(self, load: Load) -> None:
        source = FUNCTION + "    context.set_response_status(400, 'x', 7)\n    return ['x'] * len(data)\n"
        assert "IndexError" in ask(load(source), ["a"])[0]["errors"]["0"]["text"]

    def test_while_it_loads_is_ignored(self, load: Load) -> None:
        load("def handle(data, context):\n    context.set_response_status(500, 'x', 0)\n    return data\n")


class TestRequests:
    def test_each_row_has_the_id_and_headers_of_its_request(self, load: Load) -> None:
        source = (
            "import json\n"
            + FUNCTION
            + (
                "    return [json.dumps([context.request_ids[at], context.get_request_id(at),\n"
                "        context.get_request_header(at, 'X-Handler-Part'), context.get_all_request_header(at)])\n"
                "        for at in range(len(data))]\n"
            )
        )
        headers = [{"x-handler-part": "left"}, {}]
        _, texts = ask(load(source), ["a", "b"], ["c"], ids=["first", None], headers=headers)
        left, same, right = map(json.loads, texts)
        assert left == same == ["first", "first", "left", {"x-handler-part": "left"}]
        assert right[0] == right[1] != "first"
        assert right[0]
        assert right[2:] == [None, {}]

    def test_ids_that_are_made_up_differ(self, load: Load) -> None:
        source = FUNCTION + "    return list(context.request_ids.values())\n"
        _, texts = ask(load(source), ["a", "b"], ["c"])
        assert texts[0] == texts[1] != texts[2]

    def test_what_torchserve_promises_is_there_when_it_loads(self, load: Load, tmp_path: Path) -> None:
        (tmp_path / "config.yaml").write_text("batchSize: 8\nhandler: {profile: true}\n")
        model = load(FUNCTION, configFile="config.yaml")
        context = model.context
        assert context.model_name == "rows"
        assert context.manifest["model"]["handler"] == "handler.py"
        assert context.model_yaml_config == {"batchSize": 8, "handler": {"profile": True}}
        assert context.system_properties["model_dir"] == str(tmp_path)
        assert context.system_properties["batch_size"] == 8
        assert context.system_properties["gpu_id"] is None
        assert context.request_ids == {}

    def test_of_a_predict_are_there_when_it_asks_for_the_context(self, tmp_path: Path, load: Load) -> None:
        (tmp_path / "model.yaml").write_text("present")
        source = (
            "import numpy as np\nclass H:\n    def initialize(self, context): self.kept = context\n"
            "    def predict(self, inputs, *, KEYWORD):\n"
            "        seen = self.kept.get_request_header(0, 'accept')\n"
            "        return {'result': np.array([seen] * len(inputs['data']), dtype=object)}\n"
        )
        asking = load(source.replace("KEYWORD", "context"))
        assert asking.takes_context
        assert asking.parameters == frozenset()
        assert ask(asking, ["a"], headers=[{"accept": "x"}], ids=[None])[1] == ["x"]
        keeping = load(source.replace("KEYWORD", "scale=1"))
        assert not keeping.takes_context
        assert "keyword-only argument `context`" in ask(keeping, ["a"])[0]["errors"]["0"]["text"]


class TestFewRows:
    """An archive that asks for batches of two has no more than two rows in a call, however many a request has."""

    def test_a_long_request_is_handed_over_in_pieces(self, load: Load, tmp_path: Path) -> None:
        (tmp_path / "config.yaml").write_text("batchSize: 2\n")
        source = FUNCTION + (
            "    assert len(data) == len(context.request_ids) == len(context.request_processor) <= 2\n"
            "    for at, row in enumerate(data):\n"
            "        if row['body'] == b'bad':\n            context.set_response_status(400, 'no', at)\n"
            "    return [row['body'].decode() + context.get_request_id(at) for at, row in enumerate(data)]\n"
        )
        model = load(source, configFile="config.yaml")
        assert ask(model, ["a", "b", "c"], ids=["7"])[1] == ["a7", "b7", "c7"]
        found, texts = ask(model, ["a", "b", "bad", "d"], ["e"], ids=["7", "8"])
        assert found["errors"] == {"0": {"kind": "status", "status": 400, "text": "row 2: no: bad7"}}
        assert texts == ["e8"]


class TestReturned:
    def test_headers_and_media_type_go_with_their_request(self, load: Load) -> None:
        source = FUNCTION + (
            "    for at, row in enumerate(data):\n"
            "        context.set_response_content_type(at, 'image/png' if row['body'] == b'c' else 'text/csv')\n"
            "        context.set_response_header(at, 'X-Handler-Row', row['body'].decode())\n"
            "        context.set_response_header(at, 'Set-Cookie', 'never')\n"
            "    return ['x'] * len(data)\n"
        )
        found, _ = ask(load(source), ["a", "b"], ["c"])
        assert found["returned"] == {
            "0": {"headers": {"x-handler-row": "a, b"}, "media_type": "text/csv"},
            "1": {"headers": {"x-handler-row": "c"}, "media_type": "image/png"},
        }

    @pytest.mark.parametrize("value", [r"'a\r\nSet-Cookie: b'", r"'\ud800'", "'x' * 5000", "7", "'ü'"])
    def test_a_value_that_no_header_can_carry_is_the_models_fault(self, value: str, load: Load) -> None:
        for call in (
            f"set_response_header(0, 'x-handler-a', {value})",
            f"set_response_content_type(0, {value})",
        ):
            source = FUNCTION + f"    context.{call}\n    return ['x'] * len(data)\n"
            found, texts = ask(load(source), ["a"], ["b"])
            assert found["errors"]["0"]["kind"] == "model", (call, found)
            assert texts == ["x"]

    @pytest.mark.parametrize("value", ["7", "['text/csv']", "b'text/csv'", "object()"])
    def test_a_content_type_of_one_row_that_is_no_text_breaks_its_request_only(
        self, value: str, load: Load
    ) -> None:
        source = FUNCTION + (
            "    context.set_response_content_type(0, 'text/csv')\n"
            f"    context.set_response_content_type(1, {value})\n"
            "    return ['x'] * len(data)\n"
        )
        found, texts = ask(load(source), ["a", "b"], ["c"])
        assert found["errors"]["0"]["kind"] == "model"
        assert "content type" in found["errors"]["0"]["text"]
        assert texts == ["x"]


class TestBrokenAnswers:
    """The model's fault (502), never the request's (400), and never the end of the worker."""

    ANSWERS = (
        r"['\ud800'] * len(data)",
        r"['\ud800'.encode()] * len(data)",
        r"[{'a': {1, 2}}] * len(data)",
        r"[float('nan')] * len(data)",
        "[object()] * len(data)",
        "'not a list'",
        "None",
        "[]",
        "['too', 'many', 'rows', 'of', 'them']",
        "(row for row in data)",
        "exit()",
        "(_ for _ in ()).throw(KeyboardInterrupt)",
        "1 / 0",
        r"(_ for _ in ()).throw(RuntimeError('\ud800'))",
        "(_ for _ in ()).throw(type('E', (Exception,), {'__str__': lambda self: 1 / 0})())",
    )

    @pytest.mark.parametrize("answer", ANSWERS)
    def test_of_a_handle(self, answer: str, load: Load) -> None:
        found, texts = ask(load(FUNCTION + f"    return {answer}\n"), ["a"], ["b"])
        assert {error["kind"] for error in found["errors"].values()} == {"model"}
        assert list(found["errors"]) == ["0", "1"]
        assert texts == []

    OUTPUTS = (
        "{'result': [[1, 2], [3]]}",
        "{'result': np.array([1 + 2j] * n)}",
        "{'result': np.zeros(n + 1)}",
        "{'result': 5}",
        r"{'result': np.array(['\ud800'] * n)}",
        r"{'\ud800': np.zeros(n)}",
        "{7: np.zeros(n)}",
        "[np.zeros(n)]",
        "{'result': torch.zeros(n, requires_grad=True)}",
        "{'result': [{1, 2}] * n}",
    )

    @pytest.mark.parametrize("outputs", OUTPUTS)
    def test_of_a_predict(self, outputs: str, load: Load, tmp_path: Path) -> None:
        (tmp_path / "model.yaml").write_text("present")
        source = (
            "import numpy as np, torch\nclass H:\n    def initialize(self, context): pass\n"
            f"    def predict(self, inputs):\n        n = len(inputs['data'])\n        return {outputs}\n"
        )
        found, texts = ask(load(source), ["a"])
        assert found["errors"]["0"]["kind"] == "model"
        assert texts == []

    def test_a_value_error_of_the_handler_stays_the_requests_fault(self, load: Load) -> None:
        source = FUNCTION + "    raise ValueError('half \\ud800')\n"
        assert ask(load(source), ["a"])[0]["errors"] == {"0": {"kind": "input", "text": "half ?"}}


class TestLongAnswers:
    SOURCE = FUNCTION + "    return ['x' * int(row['body'] or b'1') for row in data]\n"
    MOST = frames.MAX_ANSWER_BYTES

    def test_that_fit_one_by_one_are_asked_for_again(self, load: Load) -> None:
        size = str(self.MOST // 2)
        found, texts = ask(load(self.SOURCE), [size], [size], ["3"])
        assert found["errors"] == {"1": {"kind": "again", "text": ""}}
        assert list(map(len, texts)) == [int(size), 3]

    def test_one_that_is_too_long_fails_alone(self, load: Load) -> None:
        found, texts = ask(load(self.SOURCE), ["2"], [str(self.MOST)], ["3"])
        assert found["errors"]["1"]["kind"] == "model"
        assert "at most 33,554,432" in found["errors"]["1"]["text"]
        assert texts == ["xx", "xxx"]

    def test_outputs_that_differ_are_not_joined(self, load: Load, tmp_path: Path) -> None:
        """Each request alone has another width, as models of texts have it."""
        (tmp_path / "model.yaml").write_text("present")
        source = (
            "import numpy as np\nclass H:\n    def initialize(self, context): pass\n"
            "    def predict(self, inputs):\n        if len(inputs['data']) > 1:\n            raise RuntimeError\n"
            "        return {'result': np.zeros((1, len(inputs['data'][0])))}\n"
        )
        found, _ = ask(load(source), ["a"], ["bb"], ["c"])
        assert found["errors"] == {"1": {"kind": "again", "text": ""}}
