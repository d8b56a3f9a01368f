"""One image to one model: an answer, or a failure with a name, always in time."""

import asyncio
import time

import pytest

from metadata_api.http_pool import HttpPool
from metadata_api.predicting import v2_client
from metadata_api.predicting.v2_client import InferenceFailed, ModelOutput
from serving_runtime.protocol.tensors import Tensor, unpack_elements
from tests.metadata_api.making import make_image
from tests.metadata_api.servers import Behaviour, V2Server, answers, closes, hangs, rejects, says

WELL = b'{"model_name": "m", "model_version": "1", "outputs": [%s]}'
GOOD = b'{"name": "probabilities", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 0.5]}'


def ask(serving: V2Server, behaviour: Behaviour, *, seconds: float = 5, version: str = "") -> ModelOutput:
    """One call to a model that behaves like this."""
    serving.models["m"] = behaviour

    async def call() -> ModelOutput:
        end = asyncio.get_running_loop().time() + seconds
        request = v2_client.build_request([Tensor("image", "BYTES", (1,), [make_image()])])
        async with HttpPool() as pool:
            return await v2_client.infer(pool, serving.url, "m", version, request, end=end)

    return asyncio.run(call())


def fails(serving: V2Server, behaviour: Behaviour, *, seconds: float = 5) -> str:
    """The code of the failure that this behaviour leads to."""
    with pytest.raises(InferenceFailed) as caught:
        ask(serving, behaviour, seconds=seconds)
    assert caught.value.detail
    assert "\x00" not in caught.value.detail
    return caught.value.code


def test_an_answer_has_outputs_version_and_what_was_seen(serving: V2Server) -> None:
    answer = ask(serving, answers("7", version="3"))
    assert (answer.outputs["label"].values(), answer.model_version) == (["7"], "3")
    assert answer.outputs["probabilities"].values()[7] == pytest.approx(0.91)
    assert answer.preprocessed is not None
    assert answer.preprocessed.shape == (1, 28, 28)
    assert answer.outputs.keys() == {"label", "probabilities"}


def test_the_image_travels_as_bytes_and_asks_for_what_is_seen_in_binary(serving: V2Server) -> None:
    ask(serving, answers())
    sent = serving.requests[-1]
    assert unpack_elements(serving.binary[-1]) == [make_image()]
    assert (sent["inputs"][0]["datatype"], sent["inputs"][0]["shape"]) == ("BYTES", [1])
    wanted = {"return_preprocessed": True, "return_warnings": True, "binary_data_output": True}
    assert sent["parameters"] == wanted


def test_a_version_is_asked_for_at_its_address(serving: V2Server) -> None:
    ask(serving, answers(), version="4")
    assert serving.paths[-1] == "/v2/models/m/versions/4/infer"


def test_a_model_that_cannot_tell_what_it_saw_answers_all_the_same(serving: V2Server) -> None:
    assert ask(serving, says(WELL % GOOD)).preprocessed is None


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        (400, "invalid_request", "input_rejected"),
        (404, "not_found", "model_not_ready"),
        (413, "body_too_large", "input_rejected"),
        (500, "internal", "model_failed"),
        (502, "model_failed", "model_failed"),
        (503, "not_ready", "model_not_ready"),
        (503, "worker_failed", "model_not_ready"),
        (503, "queue_full", "model_overloaded"),
        (504, "deadline_exceeded", "deadline_exceeded"),
        # What stands between gives no code, and another server's mean nothing here.
        (503, None, "model_not_ready"),
        (429, None, "model_overloaded"),
        (503, "busy", "model_not_ready"),
        (500, None, "model_failed"),
    ],
)
def test_every_rejection_has_a_name(serving: V2Server, status: int, said: str | None, code: str) -> None:
    assert fails(serving, rejects(status, "too many requests are waiting", said)) == code


def test_what_the_server_says_is_passed_on_without_what_a_database_cannot_hold(serving: V2Server) -> None:
    with pytest.raises(InferenceFailed) as caught:
        ask(serving, rejects(400, "line\x00 one" + "x" * 10_000))
    assert caught.value.detail.startswith("line one")
    assert len(caught.value.detail) == 500


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"outputs": 5}',
        b'{"model_name": "m", "outputs": []}',
        b'{"model_name": "m", "outputs": [{"name": "probabilities"}]}',
        WELL % GOOD.replace(b"[0.5, 0.5]", b"[NaN, 0.5]"),
        WELL % GOOD.replace(b"[0.5, 0.5]", b"[1e400, 0.5]"),
        WELL % GOOD.replace(b"[0.5, 0.5]", b'["a", "b"]'),
        WELL % GOOD.replace(b"[1, 2]", b"[1, 3]"),
        b'"' + b"x" * 9_000_000 + b'"',
    ],
)
def test_an_answer_that_is_none_is_a_bad_answer(serving: V2Server, content: bytes) -> None:
    assert fails(serving, says(content)) == "bad_answer"


@pytest.mark.clock
def test_a_model_that_hangs_is_given_up_at_the_deadline(serving: V2Server) -> None:
    start = time.monotonic()
    assert fails(serving, hangs(), seconds=0.3) == "deadline_exceeded"
    assert time.monotonic() - start < 1


def test_a_server_that_closes_without_an_answer_is_unreachable(serving: V2Server) -> None:
    assert fails(serving, closes()) == "model_unreachable"


@pytest.mark.clock
def test_a_server_that_is_not_there_is_unreachable_at_once() -> None:
    with V2Server() as gone:
        gone.silence()
        start = time.monotonic()
        assert fails(gone, answers()) == "model_unreachable"
        assert time.monotonic() - start < 1
