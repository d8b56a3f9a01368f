"""What the Try page makes of answers of each kind: what they come to, who differs, and no text that runs."""

import base64
import io
from typing import Any

import pytest
from PIL import Image

from model_ui.prediction_types import Comparison, Result
from model_ui.render import answers
from tests.ui.fake_answers import HOSTILE

SHARES = [{"label": str(digit), "probability": 0.91 if digit == 5 else 0.01} for digit in range(10)]


def result(name: str, **changes: object) -> dict[str, Any]:
    """A digit, by a version of an experiment of the same name."""
    shares = sorted(SHARES, key=lambda share: -float(str(share["probability"])))
    row = {
        "deployment": name, "experiment": name, "version": 2, "status": "ok", "kind": "probabilities",
        "label": "5", "probabilities": shares,
    }  # fmt: skip
    return row | changes


def failed(name: str, detail: str) -> dict[str, Any]:
    fault = {"error": "model_not_ready", "detail": detail}
    return result(name, status="error", label=None, probabilities=None, error=fault)


def of_kind(kind: str, name: str, **answer: object) -> dict[str, Any]:
    return result(name, kind=kind, label=None, probabilities=None, **answer)


def shown(*results: dict[str, Any], **more: object) -> str:
    return answers.answers(Comparison.model_validate({"results": results, **more}))


class TestClasses:
    def test_the_vote_is_the_headline_and_who_differs_is_named(self) -> None:
        html = shown(
            *(result(f"cnn-{n}") for n in range(4)), result("mlp", label="3"), failed("gone", "no answer")
        )
        assert "<h2>4 of 5 say 5</h2><p>mlp says 3</p>" in html
        assert "1 of 6 could not answer" in html
        assert html.index("mlp") < html.index("gone")

    def test_what_was_asked_can_be_labelled_where_it_is_stored(self) -> None:
        html = shown(result("a", task="digits & more"), input={"sha256": "ab" * 32, "kind": "image"})
        assert f'<a href="label?task=digits+%26+more&amp;input={"ab" * 32}">Label it</a>' in html
        assert "Label it" not in shown(result("a", task="digits"))

    def test_each_class_is_a_button_with_its_key_beside_the_answers(self) -> None:
        asked = {"sha256": "ab" * 32, "kind": "image"}
        html = shown(result("a", task="digits"), result("b", task="digits"), input=asked)
        assert html.count("data-right") == 1
        assert [html.index(f'data-press="{digit}"') for digit in range(10)] == sorted(
            html.index(f'data-press="{digit}"') for digit in range(10)
        )
        number = of_kind("number", "c", task="houses", number=3.5)
        assert 'inputmode="decimal"' in shown(number, input=asked)
        boxes = of_kind("boxes", "d", task="faces", boxes=[])
        assert "data-right" not in shown(boxes, input=asked)
        found = Comparison.model_validate({"results": [result("a", task="digits")], "input": asked})
        assert "data-right" not in answers.answers(found, may_label=False)
        hostile = result("a", task=HOSTILE, probabilities=[{"label": HOSTILE, "probability": 1.0}])
        assert HOSTILE not in shown(hostile, input=asked)

    def test_a_tie_and_a_failure_of_all_are_named(self) -> None:
        tie = shown(result("a"), result("b", label="3"))
        assert "<h2>Tied between 5 and 3</h2><p>a says 5; b says 3</p>" in tie
        many = shown(*(result(name, label=str(at)) for at, name in enumerate("abcde")))
        assert "Tied between 5 classes" in many
        assert "No model could answer" in shown(failed("a", "no"))

    def test_a_model_that_guesses_has_no_vote_beside_others(self) -> None:
        even = [{"label": str(digit), "probability": 0.11 if digit == 3 else 0.89 / 9} for digit in range(10)]
        even.sort(key=lambda share: -float(str(share["probability"])))
        poor = result("poor", label="3", probabilities=even)
        assert "<h2>2 of 3 say 5</h2><p>poor does not know.</p>" in shown(result("a"), poor, result("b"))
        assert 'class="m-vote ok"' in shown(result("a"), poor)
        assert "<h2>poor says 3</h2>" in shown(poor)

    def test_who_answers_for_an_alias_comes_first_and_who_differs_next(self) -> None:
        html = shown(*(result(name) for name in "ab"), result("c", label="3"), result("d", alias="champion"))
        places = [html.index(f'<h3 title="{name}">') for name in "dcab"]
        assert places == sorted(places)

    def test_an_unusual_input_is_said_once_and_no_agreement_hides_it(self) -> None:
        rows = (result("a", warning="It is <b>blank</b>."), result("b", warning="It is <b>blank</b>."))
        html = shown(*rows)
        assert html.count("It is &lt;b&gt;blank&lt;/b&gt;.") == 1
        assert 'class="m-vote warn"' in html
        assert "(1 of 2 models)" in shown(rows[0], result("b"))

    def test_bars_stand_in_the_order_of_the_labels(self) -> None:
        html = shown(result("a"))
        places = [html.index(f"<b>{digit}</b>") for digit in range(10)]
        assert places == sorted(places)

    def test_long_labels_become_rows_with_the_best_first(self) -> None:
        shares = [{"label": "ankle boot", "probability": 0.7}, {"label": "bag", "probability": 0.3}]
        html = shown(result("fashion", label="ankle boot", probabilities=shares))
        assert 'class="m-bars rows"' in html
        assert html.index("<b>ankle boot</b>") < html.index("<b>bag</b>")

    def test_a_label_without_probabilities_is_an_answer(self) -> None:
        html = shown(of_kind("label", "a") | {"label": "barolo"})
        assert "<h2>a says barolo</h2>" in html
        assert "m-bars" not in html


class TestVersions:
    def test_identical_answers_of_one_version_count_once(self) -> None:
        twins = [result(f"twin-{n}", experiment="cnn", latency_ms=n) for n in range(3)]
        html = shown(*twins, result("mlp", label="3"), result("cnn-2", experiment="cnn", version=3))
        assert "<h2>2 of 3 say 5</h2>" in html
        assert "also twin-1, twin-2" in html

    def test_another_answer_of_the_same_version_counts(self) -> None:
        html = shown(result("a", experiment="cnn"), result("b", experiment="cnn", label="3"))
        assert "Tied between 5 and 3" in html

    def test_rounding_makes_no_other_answer(self) -> None:
        near = [{"label": "5", "probability": 0.9100001}, {"label": "3", "probability": 0.0899999}]
        exact = [{"label": "5", "probability": 0.91}, {"label": "3", "probability": 0.09}]
        found = [
            result("a", experiment="cnn", probabilities=near),
            result("b", experiment="cnn", probabilities=exact),
        ]
        assert len(answers.grouped([Result.model_validate(one) for one in found])) == 1

    def test_aliases_and_a_cold_start_are_said(self) -> None:
        html = shown(result("a", alias="champion", cold=True))
        assert "champion</span>" in html
        assert ">cold</span>" in html

    def test_who_was_not_asked_is_named_with_the_reason(self) -> None:
        passed = [
            {"deployment": name, "reason": "takes_other_kind", "detail": f"It takes {HOSTILE}."}
            for name in ("x", "y")
        ]
        html = shown(result("a"), not_asked=passed)
        assert "2 deployments were not asked" in html
        assert "<b>x and y</b>: It takes &lt;img" in html

    def test_a_reason_of_many_is_one_line(self) -> None:
        passed = [
            {"deployment": f"m{at}", "reason": "takes_other_kind", "detail": f"It takes {at} texts."}
            for at in range(9)
        ]
        html = shown(result("a"), not_asked=passed)
        assert "<li><b>m0, m1, m2 and 6 more</b>: takes other kind</li>" in html
        assert html.count("<li><b>m") == 1


class TestOtherKinds:
    def test_numbers_are_a_range_with_the_odd_one_named(self) -> None:
        html = shown(
            *(
                of_kind("number", name, number=value, unit="mg")
                for name, value in zip("abc", (10, 12, 40), strict=True)
            )
        )
        assert "<h2>10 to 40 mg</h2>" in html
        assert "farthest from the others is c with 40" in html
        assert "All 2 models say the same" in shown(
            of_kind("number", "a", number=1), of_kind("number", "b", number=1)
        )

    def test_texts_are_grouped(self) -> None:
        html = shown(
            *(
                of_kind("text", name, text=said)
                for name, said in zip("abc", ("yes", "yes", "no"), strict=True)
            )
        )
        assert "<h2>2 of 3 say the same</h2><p>c says something else</p>" in html

    def test_boxes_that_are_hardly_sure_are_not_drawn(self) -> None:
        boxes = [
            {"label": "cat", "score": 0.9, "box": [1, 2, 30, 40]},
            {"label": "dog", "score": 0.1, "box": [0, 0, 5, 5]},
        ]
        asked = {"kind": "image", "summary": {"width": 100, "height": 50}}
        html = shown(of_kind("boxes", "a", boxes=boxes), input=asked)
        assert html.count("<rect") == 1
        assert 'x="1" y="2" width="29" height="38"' in html
        assert "and 1 less sure" in html
        assert "m-boxes" not in shown(of_kind("boxes", "a", boxes=boxes))

    def test_tensors_are_cut_where_nobody_reads_on(self) -> None:
        tensor = {"name": "y", "datatype": "FP32", "shape": [9000], "data": [0.5] * 9000}
        html = shown(of_kind("tensor", "a", tensors=[tensor]))
        assert "FP32 9000" in html
        assert len(html) < 7000

    def test_an_unknown_kind_is_shown_as_it_came(self) -> None:
        assert "m-json" in shown(of_kind("hologram", "a", tensors=[{"name": "y", "data": [1]}]))

    def test_models_of_two_tasks_do_not_vote_together(self) -> None:
        html = shown(result("a", task="digits"), of_kind("label", "b", task="pets") | {"label": "dog"})
        assert "Tied" not in html
        assert html.count('class="m-vote') == 2

    def test_answers_of_several_kinds_stand_under_each_other(self) -> None:
        html = shown(result("a"), of_kind("number", "b", number=3))
        assert html.count('class="m-vote') == 2


def test_only_a_png_is_shown_as_what_was_seen_with_its_size() -> None:
    assert "m-seen" not in shown(result("a", preprocessed='"><script>alert(1)</script>'))
    png = io.BytesIO()
    Image.new("L", (64, 32)).save(png, "PNG")
    html = shown(result("a", preprocessed=base64.b64encode(png.getvalue()).decode()))
    assert "What the models saw: 64 by 32 pixels" in html


@pytest.mark.parametrize(
    "answer",
    [
        failed(HOSTILE, HOSTILE),
        result(HOSTILE, label=HOSTILE, warning=HOSTILE, alias=HOSTILE),
        of_kind("number", HOSTILE, number=1, unit=HOSTILE),
        of_kind("text", HOSTILE, text=HOSTILE),
        of_kind("boxes", HOSTILE, boxes=[{"label": HOSTILE, "score": 1, "box": [0, 0, 1, 1]}]),
        of_kind("tensor", HOSTILE, tensors=[{"name": HOSTILE, "datatype": HOSTILE, "data": [HOSTILE]}]),
    ],
)
def test_no_text_of_an_answer_becomes_markup(answer: dict[str, Any]) -> None:
    html = shown(answer, input={"summary": {"width": 9, "height": 9}})
    assert "<img" not in html
    assert 'onerror="' not in html
