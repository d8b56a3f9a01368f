"""Which handlers a worker loads, and the reasons for which it rejects others: in its own code, without processes."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving_runtime.protocol import frames
from serving_runtime.protocol.tensors import Tensor
from serving_runtime.worker import batches

FUNCTION = "def handle(data, context):\n    if data is None:\n        return None\n"
FINE = FUNCTION + "    return ['fine'] * len(data)\n"
STREAMING = "from ts.handler_utils.utils import send_intermediate_predict_response as send\n"

Try = Callable[..., tuple[dict[str, Any], list[Tensor]]]


@pytest.fixture
def try_handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Try:
    """Load a handler and ask it as the front does first; the header of the answer and the outputs."""
    monkeypatch.setattr(sys, "path", [*sys.path])

    def tried(handler: str, files: dict[str, str]) -> tuple[dict[str, Any], list[Tensor]]:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, "utf-8")
        manifest = {"model": {"modelName": "tried", "handler": handler, "modelVersion": "1.0"}}
        adapter, problem = batches.load(tmp_path, manifest)
        if adapter is None:
            return {"load_error": problem}, []
        first = frames.encode({"rows": [1], "describe": True}, [Tensor("data", "BYTES", (1,), [b"a"])])
        return frames.decode(b"".join(batches.run_batch(adapter, b"".join(first))))

    return tried


@pytest.mark.parametrize(
    "handler",
    [
        "my-handler.py",
        "01_handler.py",
        "json.py",
        "numpy.py",
        "größe.py",
        "a.b.py",
        "src/handler.py",
        "two words.py",
    ],
)
def test_a_file_may_have_any_name(handler: str, try_handler: Try) -> None:
    for manifest in (handler, handler.removesuffix(".py"), f"{handler}:handle"):
        header, outputs = try_handler(manifest, {handler: FINE})
        assert header["context"] is True, header
        assert outputs[0].data == [b"fine"]


def test_a_file_in_a_folder_finds_its_neighbours_and_those_of_the_root(try_handler: Try) -> None:
    source = "import beside, above\n" + FINE.replace("'fine'", "beside.SAYS + above.SAYS")
    files = {"src/handler.py": source, "src/beside.py": "SAYS = 'be'", "above.py": "SAYS = 'ab'"}
    assert try_handler("src/handler.py", files)[1][0].data == [b"beab"]


def test_a_module_of_another_name_is_left_alone(try_handler: Try) -> None:
    assert try_handler("json.py", {"json.py": FINE})[1]
    assert sys.modules["json"].loads("[1]") == [1]


REJECTED = {
    "streams": (
        STREAMING + FUNCTION + "    send(['x'], {}, 'x', 200, context)\n",
        "streamed answers are not offered",
    ),
    "streams at times": (STREAMING + FINE, "streamed answers are not offered"),
    "streams by module": (
        "import ts.handler_utils.utils as u\n" + FUNCTION + "    u.send_intermediate_predict_response()\n",
        "streamed answers are not offered",
    ),
    "writes to Java": (
        FUNCTION + "    context.cl_socket.sendall(b'')\n",
        "context.cl_socket: streamed answers",
    ),
    "writes to Java, and says nothing": (
        FUNCTION
        + "    try:\n        context.cl_socket\n    except Exception:\n        pass\n    return ['x']\n",
        "context.cl_socket: streamed answers",
    ),
    "batches for ever": (
        FUNCTION + "    context.stopping_criteria = {0: len}\n",
        "continuous batching is not offered",
    ),
    "is async": ("async def handle(data, context):\n    return data\n", "async def"),
    "yields": ("def handle(data, context):\n    yield data\n", "yields its answers"),
    "lacks a package": ("import no_such_package\n" + FUNCTION, "pack the module with the handler"),
    "ends the process": ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    "is interrupted": ("raise KeyboardInterrupt\n", "KeyboardInterrupt"),
    "is no Python": ("def (:\n", "SyntaxError"),
    "half a surrogate": ("raise RuntimeError('\\ud800')\n", "RuntimeError: ?"),
    "has two classes": ("class A: pass\nclass B: pass\n", "one handler class"),
}


@pytest.mark.parametrize(("source", "reason"), REJECTED.values(), ids=REJECTED)
def test_what_cannot_serve_is_rejected_with_the_reason(source: str, reason: str, try_handler: Try) -> None:
    header, _ = try_handler("handler.py", {"handler.py": source})
    assert reason in header["load_error"]


def test_a_comment_about_streaming_is_no_reason(try_handler: Try) -> None:
    source = '"""Once called send_intermediate_predict_response."""\n' + FINE
    assert try_handler("handler.py", {"handler.py": source})[1]


@pytest.mark.parametrize("handler", ["image_classifier", "image_segmenter", "object_detector"])
def test_a_handler_of_torchserve_says_which_package_is_missing(handler: str, try_handler: Try) -> None:
    reason = try_handler(handler, {})[0]["load_error"]
    assert f"TorchServe's handler {handler} needs the package torchvision" in reason
    assert "serve it in one that has it" in reason


def test_metrics_of_a_handler_go_to_the_front(try_handler: Try) -> None:
    source = (
        "from ts.metrics.dimension import Dimension\nfrom ts.metrics.metric_type_enum import MetricTypes\n"
        "class Handler:\n    def initialize(self, context):\n"
        "        self.one = context.metrics.add_metric_to_cache('One', 'count', ['Level'], MetricTypes.COUNTER)\n"
        "    def handle(self, data, context):\n        self.one.add_or_update(1, ['x'])\n"
        "        self.one.add_or_update(2, ['x'])\n        self.one.add_or_update(-1, ['x'])\n"
        "        self.one.add_or_update(1, ['x', 'y'])\n        self.one.add_or_update(float('nan'), ['x'])\n"
        "        metrics = context.metrics\n        assert metrics.get_metric('One') is self.one\n"
        "        metrics.add_time('Two', 1.5, 0, 'ms')\n        metrics.add_time('Two', 2.5, 0, 'ms')\n"
        "        metrics.add_counter('Three', 1, 0)\n"
        "        metrics.add_size('Four', 2, None, 'kB', [Dimension('A', 'b')])\n"
        "        metrics.add_percent('Five', 50)\n        metrics.add_error('Six', 1)\n"
        "        metrics.add_metric('Seven', 1, 'count', metric_type=MetricTypes.HISTOGRAM)\n"
        "        metrics.add_metric('Seven', 3, 'count', metric_type=MetricTypes.HISTOGRAM)\n"
        "        metrics.add_counter('\\ud800', 1)\n"
        "        return ['fine'] * len(data)\n"
    )
    header, outputs = try_handler("handler.py", {"handler.py": source})
    assert header["errors"] == {}
    assert outputs[0].data == [b"fine"]
    assert header["metrics"] == [
        ["counter", "One", "count", "Level:x", 2, 3.0],
        ["gauge", "Two", "ms", "", 1, 2.5],
        ["counter", "Three", "count", "", 1, 1.0],
        ["gauge", "Four", "kB", "A:b", 1, 2.0],
        ["gauge", "Five", "percent", "", 1, 50.0],
        ["counter", "Six", "", "", 1, 1.0],
        ["histogram", "Seven", "count", "", 2, 4.0],
        ["counter", "?", "count", "", 1, 1.0],
    ]
