"""Every kind of input and of answer, over HTTP: who can take an input is asked, and says what it says."""

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from metadata_api import aliases
from serving_runtime.protocol.tensors import unpack_elements
from tests.metadata_api import servers
from tests.metadata_api.conftest import row_counts
from tests.metadata_api.making import make_deployment, make_image, make_version
from tests.metadata_api.servers import Behaviour, V2Server, answers

URL = "/v1/predictions"
WINE_COLUMNS = [
    {"name": "alcohol", "unit": "% vol", "minimum": 11, "maximum": 15, "example": 13.2},
    {"name": "color", "categories": ["red", "white"]},
]
WINE = [{"name": "row", "datatype": "FP32", "shape": [-1, 2], "kind": "table", "columns": WINE_COLUMNS}]
GAPS = [
    {
        "name": "row",
        "datatype": "BYTES",
        "shape": [-1, 2],
        "kind": "table",
        "columns": [{"name": "age", "optional": True}, WINE_COLUMNS[1]],
    }
]
TEXT = [{"name": "text", "datatype": "BYTES", "shape": [-1], "kind": "text"}]
NUMBERS = [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]
PIXELS = [{"name": "p", "datatype": "FP32", "shape": [-1, 3, 2, 2], "kind": "image"}]
PLAIN = [{"name": "data", "datatype": "BYTES", "shape": [-1], "kind": "raw"}]


def gives(kind: str, datatype: str = "BYTES", *, name: str = "result", **more: Any) -> list[dict[str, Any]]:
    """The only output of a model."""
    return [{"name": name, "datatype": datatype, "shape": [-1], "kind": kind, **more}]


def says(datatype: str, *data: Any) -> Behaviour:
    """A model with one output."""
    output = {"name": "result", "datatype": datatype, "shape": [1], "data": data}
    answer = {"model_name": "m", "model_version": "1", "outputs": [output]}
    return servers.says(json.dumps(answer).encode())


class TestTargets:
    """Whom a call asks."""

    @pytest.fixture(autouse=True)
    def models(self, engine: Engine, api: httpx.Client, serving: V2Server) -> None:
        make_deployment(engine, "digits")
        make_deployment(engine, "wine", inputs=WINE, outputs=gives("label"))
        make_deployment(engine, "tongue", inputs=TEXT, outputs=gives("text"))
        serving.models |= {"digits": answers(), "wine": says("BYTES", "good"), "tongue": says("BYTES", "de")}
        serving.paths.clear()

    def test_who_cannot_take_the_input_is_named_and_neither_asked_nor_recorded(
        self, api: httpx.Client, engine: Engine, serving: V2Server
    ) -> None:
        called = api.post(URL, json={"text": "Deutschland"}).json()
        assert [row["deployment"] for row in called["results"]] == ["tongue"]
        reasons = {one["deployment"]: (one["reason"], one["experiment"]) for one in called["not_asked"]}
        kind = "takes_other_kind"
        assert reasons == {"digits": (kind, "digits"), "wine": (kind, "wine")}
        assert serving.paths == ["/v2/models/tongue/infer"]
        assert row_counts(engine)["predictions"] == 1

    def test_when_nobody_can_take_it_nothing_is_stored(self, api: httpx.Client, engine: Engine) -> None:
        called = api.post(URL, json={"text": "Deutschland", "deployments": ["digits"]}).json()
        assert (called["results"], called["agreements"]) == ([], [])
        assert called["input"]["url"] is None
        assert (row_counts(engine)["predictions"], row_counts(engine)["inputs"]) == (0, 0)

    def test_an_alias_is_asked_at_its_version_and_recorded(
        self, api: httpx.Client, serving: V2Server
    ) -> None:
        api.put("/v1/aliases/best", json={"deployment": "digits"}).raise_for_status()
        files = {"image": make_image()}
        called = api.post(URL, files=files, data={"aliases": "best"}, headers={"Marina-Client": "ui"}).json()
        [row] = called["results"]
        assert (row["deployment"], row["alias"], row["label"]) == ("digits", "best", "5")
        assert serving.paths == ["/v2/models/digits/versions/1/infer"]
        kept = api.get(f"{URL}/{row['prediction_id']}").json()
        assert (kept["alias"], kept["source"]) == ("best", "ui")

    def test_an_alias_whose_deployment_is_deleted_meanwhile_is_a_404(
        self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api.put("/v1/aliases/best", json={"deployment": "digits"}).raise_for_status()
        read = aliases.pointers

        def then_deleted(session: Session, names: Any = None) -> list[aliases.Pointer]:
            found = read(session, names)
            if names is None:  # the application reads all of them again and again
                return found
            for path in ("/v1/aliases/best", "/v1/deployments/digits"):
                api.delete(path).raise_for_status()
            return found

        monkeypatch.setattr(aliases, "pointers", then_deleted)
        answer = api.post(URL, files={"image": make_image()}, data={"aliases": "best"})
        assert (answer.status_code, answer.json()["error"]) == (404, "deployment_unknown")

    def test_bytes_that_are_kept_as_another_kind_are_rejected_before_anybody_is_asked(
        self, api: httpx.Client, engine: Engine, serving: V2Server
    ) -> None:
        make_deployment(engine, "plus", inputs=[{**WINE[0], "columns": [{"name": "a"}, {"name": "b"}]}])
        api.post(URL, json={"row": {"a": 1, "b": 2}}).raise_for_status()
        serving.paths.clear()
        answer = api.post(URL, json={"text": '{"a":1,"b":2}'})
        assert (answer.status_code, answer.json()["error"]) == (409, "input_other_kind")
        assert serving.paths == []

    def test_an_experiment_stands_for_its_running_deployments(
        self, api: httpx.Client, engine: Engine
    ) -> None:
        make_deployment(engine, "idle", inputs=TEXT, desired="stopped")
        called = api.post(URL, json={"text": "a", "experiments": ["tongue", "idle"]}).json()
        assert [row["deployment"] for row in called["results"]] == ["tongue"]
        [idle] = called["not_asked"]
        assert (idle["experiment"], idle["deployment"], idle["reason"]) == ("idle", None, "not_deployed")

    @pytest.mark.parametrize(
        ("of", "code"),
        [
            ("deployments", "deployment_unknown"),
            ("aliases", "alias_unknown"),
            ("experiments", "experiment_unknown"),
        ],
    )
    def test_a_name_that_there_is_not_is_a_404(self, api: httpx.Client, of: str, code: str) -> None:
        answer = api.post(URL, json={"text": "a", of: ["tongue-two"]})
        assert (answer.status_code, answer.json()["error"]) == (404, code)

    def test_an_input_can_be_asked_about_again_and_is_kept_once(
        self, api: httpx.Client, engine: Engine
    ) -> None:
        first = api.post(URL, json={"text": "Österreich"}).json()["input"]
        again = api.post(URL, json={"input_sha256": first["sha256"]}).json()
        assert again["input"] == first
        assert first["summary"] == {"text": "Österreich", "characters": 10}
        shown = api.get(first["url"])
        assert (shown.text, shown.headers["content-type"]) == ("Österreich", "text/plain; charset=utf-8")
        listed = api.get("/v1/inputs", params={"kind": "text"}).json()["items"]
        assert [one["sha256"] for one in listed] == [first["sha256"]]
        assert row_counts(engine)["inputs"] == 1

    def test_whether_a_model_was_cold_is_said(self, api: httpx.Client) -> None:
        [row] = api.post(URL, json={"text": "a"}).json()["results"]
        assert row["cold"] is True, "no deployer has ever seen it ready"


class TestRows:
    """A row of named values is checked against the columns."""

    @pytest.fixture(autouse=True)
    def models(self, engine: Engine, api: httpx.Client, serving: V2Server) -> None:
        make_deployment(engine, "wine", inputs=WINE, outputs=gives("label"))
        other = [{**WINE[0], "columns": [{"name": "alcohol"}, {"name": "age"}]}]
        make_deployment(engine, "age", inputs=other, outputs=gives("number", "FP32", unit="years"))
        serving.models |= {"wine": says("BYTES", "good"), "age": says("FP32", 41.5)}

    def test_goes_to_the_model_in_the_order_of_its_columns(
        self, api: httpx.Client, serving: V2Server
    ) -> None:
        called = api.post(URL, json={"row": {"color": "white", "alcohol": 13}}).json()
        assert [row["label"] for row in called["results"]] == ["good"]
        assert [one["reason"] for one in called["not_asked"]] == ["takes_other_columns"]
        assert serving.requests[-1]["inputs"][0]["shape"] == [1, 2]
        assert memoryview(serving.binary[-1]).cast("f").tolist() == [13.0, 1.0]

    @pytest.mark.parametrize(
        ("row", "code", "said"),
        [
            ({"alcohol": 13, "colour": "red"}, "takes_other_columns", "no column colour and the row lacks"),
            ({"alcohol": 13}, "takes_other_columns", "the row lacks"),
            ({"alcohol": 40, "color": "red"}, "takes_other_values", "alcohol is above 15 % vol"),
            ({"alcohol": 13, "color": "blue"}, "takes_other_values", "color is none of red, white"),
            (
                {"alcohol": "much", "color": "red"},
                "takes_other_values",
                "it takes a number from 11 to 15 % vol",
            ),
            ({"alcohol": True, "color": "red"}, "takes_other_values", "alcohol is true or false"),
        ],
    )
    def test_that_fits_no_table_is_a_400_that_says_why(
        self, api: httpx.Client, engine: Engine, row: dict[str, Any], code: str, said: str
    ) -> None:
        answer = api.post(URL, json={"row": row})
        assert (answer.status_code, answer.json()["error"]) == (400, code)
        assert said in answer.json()["detail"]
        assert row_counts(engine)["inputs"] == 0

    def test_the_nearest_has_the_most_names_in_common(self, api: httpx.Client, engine: Engine) -> None:
        wide = [{**WINE[0], "shape": [-1, 12], "columns": [{"name": f"c{at}"} for at in range(12)]}]
        make_deployment(engine, "wide", inputs=wide, outputs=gives("label"))
        detail = api.post(URL, json={"row": {"c3": 1}}).json()["detail"]
        assert "the row lacks c0, c1, c2, c4" in detail

    def test_answers_a_number_with_its_unit(self, api: httpx.Client) -> None:
        called = api.post(URL, json={"row": {"alcohol": 13.5, "age": 2}}).json()
        [row] = called["results"]
        assert (row["kind"], row["number"], row["unit"]) == ("number", 41.5, "years")
        assert [one["kind"] for one in called["agreements"]] == ["numbers"]
        assert api.get(f"{URL}/{row['prediction_id']}").json()["number"] == 41.5

    @pytest.mark.parametrize(
        "row", [{"color": "red", "age": None}, {"color": "red"}, {"color": "red", "age": ""}]
    )
    def test_of_which_a_value_is_missing_goes_to_a_model_that_does_without(
        self, api: httpx.Client, engine: Engine, serving: V2Server, row: dict[str, Any]
    ) -> None:
        make_deployment(engine, "gaps", inputs=GAPS, outputs=gives("label"))
        serving.models["gaps"] = says("BYTES", "guessed")
        called = api.post(URL, json={"row": row}).json()
        assert [one["label"] for one in called["results"]] == ["guessed"]
        assert unpack_elements(serving.binary[-1]) == [b"", b"red"]
        [stored] = api.get("/v1/inputs").json()["items"]
        assert stored["summary"]["columns"] == len(row)

    def test_of_which_a_needed_value_is_null_is_rejected(self, api: httpx.Client, engine: Engine) -> None:
        make_deployment(engine, "gaps", inputs=GAPS, outputs=gives("label"))
        detail = api.post(URL, json={"row": {"color": None, "age": 3}}).json()["detail"]
        assert "color is missing: it takes one of red, white" in detail
        detail = api.post(URL, json={"row": {"alcohol": 13, "color": None}}).json()["detail"]
        assert "color is missing" in detail

    def test_of_true_and_false_reaches_the_model(
        self, api: httpx.Client, engine: Engine, serving: V2Server
    ) -> None:
        columns = [{"name": "smokes"}, {"name": "drinks"}, {"name": "runs"}]
        switches = {"name": "row", "datatype": "BOOL", "shape": [-1, 3], "kind": "table", "columns": columns}
        make_deployment(engine, "switches", inputs=[switches], outputs=gives("label"))
        serving.models["switches"] = says("BYTES", "well")
        called = api.post(URL, json={"row": {"smokes": False, "drinks": "true", "runs": 1}}).json()
        assert [row["label"] for row in called["results"]] == ["well"]
        assert serving.binary[-1] == b"\x00\x01\x01"
        answer = api.post(URL, json={"row": {"smokes": "no", "drinks": True, "runs": True}})
        assert "smokes is neither: it takes true or false" in answer.json()["detail"]


class TestTensors:
    """Tensors as v2 has them."""

    @pytest.fixture(autouse=True)
    def models(self, engine: Engine, api: httpx.Client, serving: V2Server) -> None:
        make_deployment(engine, "sum", inputs=NUMBERS, outputs=gives("tensor", "FP32"))
        serving.models["sum"] = says("FP32", 6.0)

    def test_go_to_the_model_in_binary(self, api: httpx.Client, serving: V2Server) -> None:
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [[1, 2, 3]]}
        [row] = api.post(URL, json={"tensors": [tensor]}).json()["results"]
        assert memoryview(serving.binary[-1]).cast("f").tolist() == [1.0, 2.0, 3.0]
        named = {one["name"]: one["data"] for one in row["tensors"]}
        assert named["result"] == [6.0]

    @pytest.mark.parametrize(
        ("tensor", "reason"),
        [
            ({"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}, "takes_other_size"),
            ({"name": "x", "datatype": "INT64", "shape": [1, 3], "data": [1, 2, 3]}, "takes_other_kind"),
            ({"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}, "takes_other_kind"),
        ],
    )
    def test_that_the_model_does_not_take_are_not_sent(
        self, api: httpx.Client, tensor: dict[str, Any], reason: str
    ) -> None:
        called = api.post(URL, json={"tensors": [tensor]}).json()
        assert [one["reason"] for one in called["not_asked"]] == [reason]

    @pytest.mark.parametrize(
        "tensor",
        [
            {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2]},
            {"name": "x", "datatype": "FP32", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]},
            {"name": "x", "datatype": "UINT8", "shape": [1, 1], "data": [256]},
        ],
    )
    def test_that_are_none_are_a_400(self, api: httpx.Client, tensor: dict[str, Any]) -> None:
        assert api.post(URL, json={"tensors": [tensor]}).status_code == 400


class TestImages:
    """An image reaches models that take numbers too."""

    def test_its_pixels_are_sent_in_the_size_layout_and_range_of_the_spec(
        self, api: httpx.Client, engine: Engine, serving: V2Server
    ) -> None:
        form = {"width": 2, "height": 2, "channels": 3, "layout": "CHW", "minimum": -1, "maximum": 1}
        make_deployment(engine, "pixels", inputs=[{**PIXELS[0], "image": form}], outputs=gives("label"))
        serving.models["pixels"] = says("BYTES", "grey")
        called = api.post(URL, files={"image": make_image(255)}).json()
        assert [row["label"] for row in called["results"]] == ["grey"]
        assert serving.requests[-1]["inputs"][0]["shape"] == [1, 3, 2, 2]
        assert memoryview(serving.binary[-1]).cast("f").tolist() == [1.0] * 12

    def test_a_model_that_wants_more_pixels_than_an_image_may_have_is_not_asked(
        self, api: httpx.Client, engine: Engine
    ) -> None:
        large = {"name": "p", "datatype": "UINT8", "shape": [-1, 100_000, 100_000], "kind": "image"}
        make_deployment(engine, "large", inputs=[large], outputs=gives("label"))
        called = api.post(URL, files={"image": make_image()}).json()
        assert [one["reason"] for one in called["not_asked"]] == ["takes_other_size"]

    def test_it_reaches_a_model_of_which_nothing_is_known(
        self, api: httpx.Client, engine: Engine, serving: V2Server
    ) -> None:
        make_deployment(engine, "plain", inputs=PLAIN, outputs=gives("raw"))
        serving.models["plain"] = says("BYTES", '{"cat": 0.75, "dog": 0.25}')
        [row] = api.post(URL, files={"image": make_image()}).json()["results"]
        assert unpack_elements(serving.binary[-1])[0].startswith(b"\x89PNG")
        assert (row["kind"], row["label"]) == ("probabilities", "cat"), "the first answer tells"


RESULTS: dict[str, tuple[list[dict[str, Any]], tuple[str, list[Any]], dict[str, Any]]] = {
    "a label": (gives("label"), ("BYTES", ["hot"]), {"kind": "label", "label": "hot"}),
    "a number": (gives("number", "FP64"), ("FP64", [2.5]), {"kind": "number", "number": 2.5, "unit": None}),
    "a text": (gives("text"), ("BYTES", ["so\u0000 it is"]), {"kind": "text", "text": "so it is"}),
    "boxes": (
        gives("boxes"),
        ("BYTES", ['[{"label": "cat", "score": 0.5, "box": [1, 2, 3, 4]}]']),
        {"kind": "boxes", "boxes": [{"label": "cat", "score": 0.5, "box": [1.0, 2.0, 3.0, 4.0]}]},
    ),
    "probabilities in JSON": (
        gives("probabilities"),
        ("BYTES", ['{"cat": 0.25, "dog": 0.75}']),
        {"kind": "probabilities", "label": "dog"},
    ),
}


@pytest.mark.parametrize("what", RESULTS)
def test_an_answer_is_read_as_its_version_gives_it(
    api: httpx.Client, engine: Engine, serving: V2Server, what: str
) -> None:
    outputs, said, expected = RESULTS[what]
    make_deployment(engine, "model", inputs=TEXT, outputs=outputs)
    serving.models["model"] = says(said[0], *said[1])
    [row] = api.post(URL, json={"text": "a"}).json()["results"]
    assert row["error"] is None
    assert expected.items() <= row.items()
    kept = api.get(f"{URL}/{row['prediction_id']}").json()
    assert expected.items() <= kept.items(), "and is recorded so"


@pytest.mark.parametrize("kind", ["label", "number", "text", "boxes", "probabilities"])
def test_an_answer_of_another_kind_is_bad(
    api: httpx.Client, engine: Engine, serving: V2Server, kind: str
) -> None:
    make_deployment(engine, "model", inputs=TEXT, outputs=gives(kind, name="other"))
    serving.models["model"] = says("BYTES", "?")
    [row] = api.post(URL, json={"text": "a"}).json()["results"]
    assert (row["status"], row["error"]["error"], row["kind"]) == ("error", "bad_answer", kind)


@pytest.mark.parametrize("kind", ["probabilities", "boxes", "raw"])
@pytest.mark.parametrize(
    "text",
    [
        '{"a\\u0000b": 0.5}',
        '{"\\ud800": 0.5}',
        '{"a": 1' + 400 * "0" + "}",
        '[{"label": ' + 900 * "[" + 900 * "]" + ', "score": 1, "box": [0, 0, 1, 1]}]',
        '[{"label": "\\ud800", "score": 1' + 400 * "0" + ', "box": [0, 0, 1, 1]}]',
    ],
)
def test_whatever_a_model_answers_leaves_the_answers_of_the_others(
    api: httpx.Client, engine: Engine, serving: V2Server, kind: str, text: str
) -> None:
    make_deployment(engine, "hostile", inputs=TEXT, outputs=gives(kind))
    make_deployment(engine, "tongue", inputs=TEXT, outputs=gives("text"))
    serving.models |= {"hostile": says("BYTES", text), "tongue": says("BYTES", "de")}
    answer = api.post(URL, json={"text": "a"})
    assert answer.status_code == 200, answer.text
    assert [row["text"] for row in answer.json()["results"] if row["deployment"] == "tongue"] == ["de"]
    assert row_counts(engine)["predictions"] == 2


def test_a_number_of_another_kind_is_a_400_that_names_the_column(api: httpx.Client, engine: Engine) -> None:
    years = [{**WINE[0], "datatype": "INT64", "shape": [-1, 1], "columns": [{"name": "age"}]}]
    make_deployment(engine, "wine", inputs=years, outputs=gives("label"))
    answer = api.post(URL, json={"row": {"age": 41.5}})
    assert "age takes a whole number, not 41.5" in answer.json()["detail"]


def test_a_number_that_the_datatype_cannot_hold_is_a_400(api: httpx.Client, engine: Engine) -> None:
    halves = [{**WINE[0], "datatype": "FP16", "shape": [-1, 1], "columns": [{"name": "alcohol"}]}]
    make_deployment(engine, "wine", inputs=halves, outputs=gives("label"))
    answer = api.post(URL, json={"row": {"alcohol": 1e6}})
    assert (answer.status_code, answer.json()["error"]) == (400, "takes_other_values")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "a", "row": {"b": 1}},
        {"text": ""},
        {"text": "a", "colour": "red"},
        {"text": "a", "deadline_ms": 1},
        {"row": {}},
        {"tensors": []},
        {"input_sha256": "x"},
    ],
)
def test_a_body_that_is_none_is_rejected(api: httpx.Client, engine: Engine, body: dict[str, Any]) -> None:
    make_deployment(engine, "tongue", inputs=TEXT)
    assert api.post(URL, json=body).status_code in (400, 422)
    assert row_counts(engine)["inputs"] == 0


def test_a_body_of_another_type_says_what_to_send(api: httpx.Client) -> None:
    answer = api.post(URL, content=b"<x/>", headers={"content-type": "text/xml"})
    assert (answer.status_code, answer.json()["error"]) == (415, "body_unsupported")


@pytest.mark.parametrize(
    "headers", [{}, {"content-type": "application/x-www-form-urlencoded"}], ids=["none", "curl -d"]
)
@pytest.mark.parametrize("text", ["a", "a=b&c"])
def test_json_without_its_type_is_told_the_header(
    api: httpx.Client, headers: dict[str, str], text: str
) -> None:
    answer = api.post(URL, content=json.dumps({"text": text}).encode(), headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (415, "body_unsupported")
    assert "Content-Type: application/json" in answer.json()["detail"]


def test_a_version_of_before_kinds_is_asked_as_before(
    api: httpx.Client, engine: Engine, serving: V2Server
) -> None:
    make_deployment(engine, "digits")
    make_version(engine, 2, experiment="digits")
    serving.models["digits"] = answers("7", version="2")
    [row] = api.post(URL, files={"image": make_image()}).json()["results"]
    assert (row["label"], row["version"], row["kind"]) == ("7", 2, "probabilities")
