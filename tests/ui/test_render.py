"""What the renderers make of the API's answers: numbers as people read them, and no text that runs."""

import json
import math
from typing import Any

import pytest

from model_ui.api_types import (
    ROLES,
    AuditPage,
    Curve,
    Curves,
    Deployment,
    ImportReport,
    IssuedToken,
    Me,
    NonFinite,
    Problem,
    Token,
    Unregistered,
)
from model_ui.render import audit, chart_data, reports, services, tokens
from model_ui.render.colours import COLOURS
from model_ui.render.markup import number, percent
from tests.ui.fake_api import HOSTILE, deployment, me
from tests.ui.fake_audit import entry, issued

ADMIN = Me.model_validate(me("admin"))


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
        bad = deployment("b", ready=False, observed={"state": HOSTILE, "version": None, "reason": HOSTILE})
        shown = [
            services.services([Deployment.model_validate(bad)], versions={}, api="http://api", me=ADMIN),
            services.services(
                [],
                [Unregistered(name=HOSTILE, storage_uri=HOSTILE, reason=HOSTILE)],
                versions={},
                api="",
                me=ADMIN,
            ),
            services.banner(HOSTILE),
            reports.report(
                ImportReport(
                    filename=HOSTILE,
                    rejected=1,
                    problems=(Problem(line=2, column=HOSTILE, reason=HOSTILE),),
                    experiments=(HOSTILE,),
                )
            ),
        ]
        assert all("<img src=x" not in html for html in shown)
        assert all('onerror="' not in html for html in shown)


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

    def test_a_card_has_buttons_for_those_who_may_deploy_it(self) -> None:
        item = Deployment.model_validate(deployment("a"))
        for role, limits in (("viewer", None), ("annotator", None), ("admin", ["b"])):
            visitor = Me.model_validate(me(role, deployments=limits))
            assert "<button" not in services.services([item], versions={}, api="", me=visitor)
        visitor = Me.model_validate(me("deployer", deployments=["a"]))
        assert "Stop" in services.services([item], versions={}, api="", me=visitor)


class TestOwners:
    def test_what_helm_owns_has_no_buttons(self) -> None:
        item = deployment("a", owner="helm", replicas=3, previous_version=1)
        html = services.services([Deployment.model_validate(item)], versions={"a": 5}, api="", me=ADMIN)
        assert "<button" not in html
        assert "change its values" in html
        assert "<dt>replicas</dt><dd>3</dd>" in html

    def test_what_is_not_registered_is_shown_with_where_it_comes_from(self) -> None:
        one = Unregistered(name="foreign", storage_uri="s3://b/x.mar", state="failed", reason="404")
        html = services.services([], [one], versions={}, api="", me=ADMIN)
        assert all(said in html for said in ("foreign", "s3://b/x.mar", "failed", "404"))
        assert "Nothing is deployed" not in html

    def test_a_reason_is_shown_of_one_that_is_ready_too(self) -> None:
        observed = {"state": "ready", "version": 1, "reason": "1 of 2 replicas answer."}
        item = Deployment.model_validate(deployment("a", observed=observed))
        assert "1 of 2 replicas answer." in services.services([item], versions={}, api="", me=ADMIN)


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
        observed = {"state": "ready", "version": 1, "reason": None, "containment": found}
        item = Deployment.model_validate(deployment("a", observed=observed))
        html = services.services([item], versions={}, api="", me=ADMIN)
        assert f"<dt>contained by</dt><dd>{said}</dd>" in html


class TestLinks:
    def test_without_a_public_address_there_are_none(self) -> None:
        assert "href" not in services.services(
            [Deployment.model_validate(deployment("a"))], versions={}, api="", me=ADMIN
        )


class TestReport:
    def test_counts_lines_columns_and_reasons(self) -> None:
        problem = Problem(line=7, column="Loss", reason="Step and Value differ in length")
        html = reports.report(ImportReport(filename="a.csv", accepted=1200, rejected=1, problems=(problem,)))
        assert "<b>1,200</b>" in html
        assert '<td class="num">7</td><td>Loss</td><td>Step and Value differ in length</td>' in html

    def test_a_cut_list_says_so(self) -> None:
        problems = tuple(Problem(line=line, reason="bad") for line in range(2, 12))
        assert "the first 10 of 5,000" in reports.report(ImportReport(rejected=5000, problems=problems))


class TestAudit:
    def test_a_change_is_said_as_what_each_field_was_and_is(self) -> None:
        html = log(entry(7))
        assert "<b>deployments</b> cnn-fast: " in html
        assert "version 7 → 8, previous_version – → 7</span>" in html
        assert '<td title="PATCH /v1/deployments/{name}">PATCH /v1/deployments/cnn-fast</td>' in html
        assert f"{7:032x}" in html
        assert "Rejected since the API started: 2 with 401, 1 with 403." in html

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"table": "imports", "key": "3", "before": {}, "after": {"accepted": 2}}, "created: "),
            ({"table": "aliases", "key": "best", "before": {"version": 1}, "after": {}}, "best deleted"),
            ({"table": "deployments", "statement": "update"}, "update of many rows"),
            ({"more": 1450}, "and 1,450 more rows"),
        ],
    )
    def test_rows_that_come_go_or_are_many_are_said_in_words(
        self, change: dict[str, object], said: str
    ) -> None:
        assert said in log(entry(1, changes=[change]))

    def test_long_values_and_many_fields_are_in_the_tooltip(self) -> None:
        after = {f"field_{number}": "x" * 150 for number in range(9)}
        html = log(entry(1, changes=[{"table": "t", "key": "k", "before": {}, "after": after}]))
        title, shown = html.split('<span title="')[1].split("</span>")[0].split('">')
        assert title.count("x" * 150) == 9
        assert "x" * 61 not in shown
        assert shown.endswith("and 3 more")

    def test_many_changes_of_one_request_fold_away(self) -> None:
        changes = entry(1)["changes"] * 9
        assert "<summary>5 more</summary>" in log(entry(1, changes=changes))

    def test_nothing_found_names_the_caller(self) -> None:
        assert "the caller nobody." in audit.entries(AuditPage(items=()), subject="nobody", newest=True)

    def test_no_text_of_it_becomes_markup(self) -> None:
        values = {HOSTILE: HOSTILE, "list": [HOSTILE], "object": {HOSTILE: HOSTILE}}
        row = {"table": HOSTILE, "key": HOSTILE, "before": values, "after": values}
        changes = [row, {**row, "before": {}}, {**row, "after": {}}, {"table": HOSTILE, "statement": HOSTILE}]
        texts = dict.fromkeys(
            ("subject", "kind", "role", "token_id", "route", "path", "address", "request_id"), HOSTILE
        )
        shown = [
            log(entry(1, changes=changes * 2, **texts), subject=HOSTILE, rejected={HOSTILE: 1}),
            audit.entries(AuditPage(items=()), subject=HOSTILE, newest=True),
            audit.export(f'https://h"{HOSTILE}'),
        ]
        assert all("<img" not in html and 'onerror="' not in html for html in shown)

    def test_the_command_names_the_address_that_is_known(self) -> None:
        assert "https://models.example/api/v1/audit/export.csv" in audit.export("https://models.example/api")
        assert "https://HOST/api/v1/audit/export.csv" in audit.export("/api")
        assert "HOST is where the API is reached:" in audit.export("")


class TestTokens:
    def test_only_a_valid_one_can_be_revoked(self) -> None:
        past = "2020-01-01T00:00:00+00:00"
        for changes, state in (({"expires_at": past}, "expired"), ({"revoked_at": past}, "revoked")):
            html = tokens.listing([Token.model_validate(issued(1, **changes))])
            assert state in html
            assert "data-revoke" not in html
        html = tokens.listing([Token.model_validate(issued(1, deployments=["a", "b"]))])
        assert 'data-revoke="000000000001"' in html
        assert "<td>a, b</td>" in html
        assert "<td>never</td>" in html

    def test_no_text_of_them_becomes_markup(self) -> None:
        texts = dict.fromkeys(("id", "name", "role", "created_by"), HOSTILE)
        row = issued(1, deployments=[HOSTILE], **texts)
        made = IssuedToken.model_validate({**row, "token": HOSTILE})
        shown = [tokens.listing([Token.model_validate(row)]), tokens.issued(made)]
        assert all("<img" not in html and 'onerror="' not in html for html in shown)


def log(*entries: dict[str, object], subject: str = "", rejected: dict[str, int] | None = None) -> str:
    """HTML of the newest page of the audit log."""
    counts = {"401": 2, "403": 1} if rejected is None else rejected
    page = AuditPage.model_validate({"items": entries, "rejected": counts})
    return audit.entries(page, subject=subject, newest=True)
