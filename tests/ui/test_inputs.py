"""What the inputs of each kind ask about, and what they say of values that cannot be asked about."""

import base64
from contextlib import suppress
from typing import Any

import pytest

from model_ui.api_types import Deployment, Me
from model_ui.inputs import INPUTS, Incomplete, input_of
from model_ui.inputs.base import PredictionRequest
from model_ui.tasks import Task, tasks_of, titles
from tests.ui.fake_answers import HOSTILE
from tests.ui.fake_callers import me
from tests.ui.fake_deployments import deployment
from tests.ui.fake_kinds import KINDS, taking

ADMIN = Me.model_validate(me("admin"))


def task_of(*names: str, **changes: Any) -> Task:
    """The only task of deployments of these names, with changes to what they take."""
    items = [Deployment.model_validate(deployment(name, **(KINDS[name] | changes))) for name in names]
    [task] = tasks_of([(item, item.name) for item in items], ADMIN)
    return task


def asked(task: Task, **fields: object) -> PredictionRequest | None:
    return input_of(task).request(task, fields)


def tensors(**changes: Any) -> Task:
    return task_of("doubler", inputs=[taking("tensor", datatype="FP32", **changes)])


class TestTasks:
    def test_models_that_take_and_give_alike_are_one_task(self) -> None:
        names = ["wine-forest", "wine-linear", "language", "sugar-a", "sugar-b", "sugar-c"]
        items = [Deployment.model_validate(deployment(name, **KINDS[name])) for name in names]
        found = tasks_of([(item, item.name) for item in items], ADMIN)
        assert [(task.title, len(task.deployments)) for task in found] == [
            ("Tables → number", 3),
            ("wine", 2),
            ("language", 1),
        ]
        assert found[1].about == "4 values → 3 classes · 2 models"

    def test_two_tasks_of_one_name_are_told_apart(self) -> None:
        items = [
            Deployment.model_validate(deployment(name, **{**KINDS["sugar-a"], "task": task}))
            for name, task in (("old", "table-number-00000001"), ("new", "table-number-00000002"))
        ]
        tasks = tasks_of([(item, item.name) for item in items], ADMIN)
        assert titles(tasks) == ["Tables → number · old", "Tables → number · new"]

    def test_only_what_runs_and_may_be_asked_is_in_it(self) -> None:
        stopped = Deployment.model_validate(deployment("language", **KINDS["language"], desired="stopped"))
        other = Deployment.model_validate(deployment("shout", **KINDS["shout"]))
        limited = Me.model_validate(me("annotator", deployments=["language"]))
        assert tasks_of([(stopped, "language"), (other, "shout")], limited) == ()

    def test_a_model_of_which_nothing_is_known_gets_a_text(self) -> None:
        task = task_of("shout", inputs=[taking("raw", name="data")], task="raw-raw-01234567")
        body = {"tensors": [{"name": "data", "datatype": "BYTES", "shape": [1], "data": ["{}"]}]}
        assert asked(task, **{"0": "{}"}) == PredictionRequest(body=body)


class TestTable:
    def test_numbers_are_numbers_and_categories_are_texts(self) -> None:
        found = asked(task_of("wine-forest"), alcohol="12", malic_acid="1e0", colour="red", proline="300")
        assert found == PredictionRequest(
            body={"row": {"alcohol": 12.0, "malic_acid": 1.0, "colour": "red", "proline": 300.0}}
        )

    def test_what_is_missing_or_no_number_is_named(self) -> None:
        task = task_of("wine-forest")
        with pytest.raises(Incomplete, match="Fill in malic_acid, proline"):
            asked(task, alcohol="12", colour="red")
        with pytest.raises(Incomplete, match="alcohol has to be a number"):
            asked(task, alcohol="nan", malic_acid="1", colour="red", proline="1")

    def test_a_category_is_sent_as_it_is_written(self) -> None:
        columns = [{"name": "colour", "categories": [" red", "white "]}]
        task = task_of("wine-forest", inputs=[taking("table", datatype="FP32", columns=columns)])
        assert asked(task, colour=" red") == PredictionRequest(body={"row": {"colour": " red"}})

    def test_true_and_false_are_chosen(self) -> None:
        columns = [{"name": "smokes", "example": 1}]
        task = task_of("wine-forest", inputs=[taking("table", datatype="BOOL", columns=columns)])
        assert '<option value="true" selected>' in input_of(task).form(task)
        assert asked(task, smokes="false") == PredictionRequest(body={"row": {"smokes": False}})

    def test_a_field_that_may_be_empty_says_so_and_is_sent_as_null(self) -> None:
        columns = [{"name": "age", "optional": True}, {"name": "colour", "categories": ["red"]}]
        task = task_of("wine-forest", inputs=[taking("table", datatype="BYTES", columns=columns)])
        assert 'placeholder="may be empty"' in input_of(task).form(task)
        assert asked(task, age=" ", colour="red") == PredictionRequest(
            body={"row": {"age": None, "colour": "red"}}
        )
        assert asked(task, age="7", colour="red") == PredictionRequest(
            body={"row": {"age": "7", "colour": "red"}}
        )

    def test_an_untouched_or_empty_form_asks_nothing(self) -> None:
        task = task_of("wine-forest")
        assert asked(task) is None
        assert asked(task, alcohol="", malic_acid=" ") is None

    def test_a_column_may_be_called_as_something_of_a_form(self) -> None:
        # The element with the widget must not be the form, which has its controls as properties.
        html = input_of(task_of("wine-forest")).form(task_of("wine-forest"))
        assert html.startswith('<div data-widget="form"><form ')

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ({"example": 1234567.5}, "1234567.5"),
            ({"minimum": 11, "maximum": 15}, "13"),
            ({"minimum": 1000.1, "maximum": 1000.2}, "1000.15"),
        ],
    )
    def test_what_a_field_holds_at_first_is_within_its_range(
        self, column: dict[str, Any], value: str
    ) -> None:
        columns = [{"name": "alcohol", **column}]
        task = task_of("wine-forest", inputs=[taking("table", datatype="FP32", columns=columns)])
        assert f'value="{value}"' in input_of(task).form(task)


class TestTensor:
    @pytest.mark.parametrize(
        ("given", "shape", "data"),
        [("[[1,2],[3,4]]", [2, 2], [1, 2, 3, 4]), ("[1,2]", [1, 2], [1, 2]), ("[]", [1, 0], [])],
    )
    def test_the_shape_is_that_of_the_lists(self, given: str, shape: list[int], data: list[int]) -> None:
        found = asked(tensors(shape=[-1, 2]), **{"0": given})
        assert found == PredictionRequest(
            body={"tensors": [{"name": "x", "datatype": "FP32", "shape": shape, "data": data}]}
        )

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ("[1,", "no JSON"), ("[[1],[2,3]]", "different lengths"), ("[[1], 2]", "different lengths"),
            ("[NaN, 1]", "NaN"), ("[1, 1e999]", "NaN"), ('[{"a": 1}]', "not nested evenly"), ("[" * 100_000, "no JSON"),
        ],
    )  # fmt: skip
    def test_lists_that_are_no_tensor_are_named(self, given: str, words: str) -> None:
        with pytest.raises(Incomplete, match=words):
            asked(tensors(shape=[-1, 2]), **{"0": given})

    def test_several_inputs_are_tensors_whatever_their_kinds(self) -> None:
        task = task_of("shout", inputs=[taking("text", name="a"), taking("text", name="b")])
        assert task.kind == "tensor"
        found = asked(task, **{"0": '["x"]', "1": '["y"]'})
        assert found is not None
        assert [one["name"] for one in found.body["tensors"]] == ["a", "b"]


def test_an_image_is_its_bytes_and_a_text_is_a_text() -> None:
    url = "data:image/png;base64," + base64.b64encode(b"png").decode()
    assert asked(task_of("detector"), image=url) == PredictionRequest(image=b"png")
    assert asked(task_of("detector"), image="data:no base64") == PredictionRequest(image=b"")
    assert asked(task_of("detector"), image="") is None
    assert asked(task_of("language"), text="Suomi") == PredictionRequest(body={"text": "Suomi"})
    assert asked(task_of("language"), text=" \n") is None


@pytest.mark.parametrize("fields", [{"image": 1, "text": [], "0": None}, {"x": {}}])
@pytest.mark.parametrize("name", list(KINDS))
def test_what_no_page_sends_is_no_fault(name: str, fields: dict[str, object]) -> None:
    with suppress(Incomplete):
        asked(task_of(name), **fields)


@pytest.mark.parametrize("kind", list(INPUTS))
def test_no_text_of_a_spec_becomes_markup(kind: str) -> None:
    column = {"name": HOSTILE, "unit": HOSTILE, "example": HOSTILE}
    choice = {"name": "c", "categories": [HOSTILE], "example": HOSTILE}
    spec = taking(
        kind, name=HOSTILE, datatype="BYTES", shape=[-1, 2], columns=[column, choice], example=HOSTILE
    )
    task = task_of("shout", inputs=[spec], labels=[HOSTILE], task=HOSTILE)
    assert "<img" not in input_of(task).form(task).replace('<img alt="the image', "")
