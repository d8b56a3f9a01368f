"""What the renderers make of the API's answers: numbers as people read them, and no text that runs."""

import json
import math
from typing import Any

import pytest

from model_ui.api_types import ROLES, AuditEntry, Containment, Curve, Curves, Me, NonFinite
from model_ui.prediction_types import RecordedInput
from model_ui.render import chart_data, services
from model_ui.render.changes import changes_of
from model_ui.render.colours import COLOURS
from model_ui.render.markup import number, percent
from tests.ui.fake_answers import HOSTILE
from tests.ui.fake_audit import entry
from tests.ui.fake_callers import me


def drawn(html: str) -> Any:
    """What the page's script reads."""
    return json.loads(html.partition(">")[2].rpartition("</script>")[0])


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "written"),
        [
            (None, "–"), (0.0, "0"), (3.0, "3"), (1234.0, "1,234"), (0.05551, "0.05551"), (2.28712, "2.287"),
            (0.00001234, "1.23e-05"), (math.nan, "NaN"), (-math.inf, "−∞"),
        ],
    )  # fmt: skip
    def test_four_digits_and_no_more(self, value: float | None, written: str) -> None:
        assert number(value) == written

    @pytest.mark.parametrize(("share", "written"), [(1.0, "100 %"), (0.99999, ">99.9 %"), (0.412, "41.2 %")])
    def test_a_share_claims_certainty_only_when_there_is(self, share: float, written: str) -> None:
        assert percent(share) == written


class TestEscaping:
    def test_no_text_of_the_api_becomes_markup(self) -> None:
        assert "<img" not in services.banner(HOSTILE)


class TestChartData:
    def test_no_text_ends_the_script_that_it_stands_in(self) -> None:
        curve = Curve(experiment="a", display_name="</script><b>x</b>", steps=(0,), values=(1.0,))
        html = chart_data.script(Curves(metric="</script>", curves=(curve,)), ["a"], "step")
        assert html.count("</script>") == 1
        found = drawn(html)
        assert (found["metric"], found["curves"][0]["title"]) == ("</script>", "</script><b>x</b>")

    def test_a_curve_keeps_its_colour_and_its_lost_points_whatever_is_beside_it(self) -> None:
        lost = (NonFinite(step=1, value="NaN"),)
        curve = Curve(experiment="b", steps=(0, 1), values=(0.123456789, None), non_finite=lost)
        none = Curve(experiment="a", steps=(), values=())
        (found,) = drawn(chart_data.script(Curves(metric="loss", curves=(none, curve)), ["a", "b"], "step"))[
            "curves"
        ]
        assert found["colour"] == COLOURS[1]
        assert found["values"] == [0.1234568, None]
        assert found["lost"] == [{"x": 1, "value": "NaN"}]

    def test_by_time_points_stand_where_they_were_made(self) -> None:
        curve = Curve(experiment="a", steps=(0, 1), values=(1.0, 2.0), times=(1700000000.1234, 1700000060.0))
        (found,) = drawn(chart_data.script(Curves(metric="loss", curves=(curve,)), ["a"], "time"))["curves"]
        assert found["xs"] == [1700000000.123, 1700000060]

    @pytest.mark.parametrize(("curves", "points"), [(1, 400), (20, 400), (40, 200), (200, 60)])
    def test_many_curves_have_fewer_points_each(self, curves: int, points: int) -> None:
        assert chart_data.points(curves) == points


class TestRoles:
    def test_each_role_may_do_what_those_before_it_may(self) -> None:
        allowed = {
            role: [other for other in ROLES if Me.model_validate(me(role)).may(other)] for role in ROLES
        }
        assert allowed == {role: list(ROLES[: place + 1]) for place, role in enumerate(ROLES)}


class TestContainment:
    @pytest.mark.parametrize(
        ("found", "said"),
        [
            (
                {"own_uid": 61003, "landlock": 7, "namespaces": True, "network": "denied"},
                "Landlock, namespaces, own user, no network",
            ),
            ({"landlock": 4, "network": "tcp denied"}, "Landlock, no TCP"),
            ({"own_uid": None, "landlock": None, "network": "open"}, "limits only"),
        ],
    )
    def test_the_measures_that_are_in_force_are_named(self, found: dict[str, Any], said: str) -> None:
        assert services.measures(Containment.model_validate(found)) == said


class TestChanges:
    def test_a_change_is_said_as_what_each_field_was_and_is(self) -> None:
        html = said(entry(7))
        assert "<b>deployments</b> cnn-fast: " in html
        assert "version 7 → 8, previous_version – → 7</span>" in html

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"table": "imports", "key": "3", "before": {}, "after": {"accepted": 2}}, "created: "),
            ({"table": "aliases", "key": "best", "before": {"version": 1}, "after": {}}, "best deleted"),
            ({"table": "deployments", "statement": "update"}, "update of many rows"),
            ({"more": 1450}, "and 1,450 more rows"),
        ],
    )
    def test_rows_that_come_go_or_are_many_are_said_in_words(
        self, change: dict[str, object], words: str
    ) -> None:
        html = said(entry(1, changes=[change]))
        assert words in html
        assert " :" not in html

    def test_long_values_and_many_fields_are_in_the_tooltip(self) -> None:
        after = {f"field_{number}": "x" * 150 for number in range(9)}
        html = said(entry(1, changes=[{"table": "t", "key": "k", "before": {}, "after": after}]))
        title, shown = html.split('<span title="')[1].split("</span>")[0].split('">')
        assert title.count("x" * 150) == 9
        assert "x" * 61 not in shown
        assert shown.endswith("and 3 more")

    def test_many_changes_of_one_request_fold_away(self) -> None:
        assert "<summary>5 more</summary>" in said(entry(1, changes=entry(1)["changes"] * 9))

    def test_no_text_of_them_becomes_markup(self) -> None:
        values = {HOSTILE: HOSTILE, "list": [HOSTILE], "object": {HOSTILE: HOSTILE}}
        row = {"table": HOSTILE, "key": HOSTILE, "before": values, "after": values}
        changes = [row, {**row, "before": {}}, {**row, "after": {}}, {"table": HOSTILE, "statement": HOSTILE}]
        html = said(entry(1, changes=changes * 2))
        assert "<img" not in html
        assert 'onerror="' not in html


def said(written: dict[str, object]) -> str:
    """HTML of what an entry of the audit log changed."""
    return changes_of(AuditEntry.model_validate(written))


def test_what_was_asked_about_is_said_in_a_line() -> None:
    row = {"values": {"age": None, "colour": "red", "size": 1.5}, "columns": 3}
    assert RecordedInput(kind="row", summary=row).words == "age missing, colour red, size 1.5"
    assert RecordedInput(kind="text", summary={"text": "Suomi"}).words == "Suomi"
