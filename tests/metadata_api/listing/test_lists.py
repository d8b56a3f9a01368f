"""Filters and sort orders over the real database: the same experiments as plain Python finds, on pages of any size."""

import functools
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from metadata_api.database.tables import Experiment
from metadata_api.listing import cursor as cursors
from metadata_api.listing import expressions as made
from metadata_api.listing import grammar, page
from metadata_api.listing.expressions import Expression, SortKey
from metadata_api.listing.fields import Field
from metadata_api.listing.list_query import ListQuery
from tests.metadata_api.making import make_mar, make_version
from tests.waiting import until

VALUES: list[Any] = [
    0, -1, 1, 0.5, -0.5, 1e300, -1e-300, 2**53, 1e-9, True, False, "", "a", "A", "ab", "b", "1", "true", "aé", "Ab c",
]  # fmt: skip
FIELDS = [
    "params.a",
    "params.b",
    'tags."a b"',
    "metrics.f1",
    "metrics.f1.final",
    "name",
    "source",
    "task",
    "params.none",
]
COUNT = 40


def _stored(number: int) -> dict[str, Any]:
    """An experiment with some values, others missing, all the same for the same number."""
    pick = [VALUES[(number * step + step) % len(VALUES)] for step in (1, 3, 7, 11)]
    floats = [float(one) if isinstance(one, int | float) else None for one in pick]
    return {
        "name": f"net-{number}",
        "display_name": f"Net {number % 3}",
        "source": ("api", "import", "starter")[number % 3],
        "parameters": {"a": pick[0], **({"b": pick[1]} if number % 4 else {})},
        "tags": {"a b": pick[2]} if number % 3 else {},
        "metrics": {"f1": {"best": floats[3], "final": floats[0], "points": 1}} if number % 5 else {},
        "task": (None, "digits", "Wine")[number % 3],
    }


@pytest.fixture(scope="module")
def stored(own_engine: Engine) -> list[dict[str, Any]]:
    """The experiments that are there, with their ids."""
    rows = [_stored(number) for number in range(COUNT)]
    with Session(own_engine) as session, session.begin():
        added = [Experiment(**{name: value for name, value in row.items() if name != "task"}) for row in rows]
        session.add_all(added)
        session.flush()
        for row, one in zip(rows, added, strict=True):
            row["id"] = one.id
    for row in rows:
        if row["task"] is not None:
            make_version(own_engine, experiment=row["name"], task="other")
            make_version(own_engine, 2, experiment=row["name"], task=row["task"])
    return rows


def value_of(row: dict[str, Any], field: Field) -> Any:
    """What an experiment has in a field; None for nothing."""
    if not field.section:
        return row[field.name]
    if field.section == "metrics":
        return row["metrics"].get(field.name, {}).get(field.part)
    return row["parameters" if field.section == "params" else "tags"].get(field.name)


def kind(value: Any) -> int:
    """Types in the order in which they are sorted."""
    return 0 if isinstance(value, bool) else 2 if isinstance(value, str) else 1


def is_true(expression: Expression, row: dict[str, Any]) -> bool:
    """The filter as plain Python."""
    match expression:
        case made.All(parts=parts):
            return all(is_true(part, row) for part in parts)
        case made.AnyOf(parts=parts):
            return any(is_true(part, row) for part in parts)
        case made.Not(of=one):
            return not is_true(one, row)
        case made.IsNull(field=field):
            return value_of(row, field) is None
        case made.Contains(field=field, text=text):
            found = value_of(row, field)
            return isinstance(found, str) and text.lower() in found.lower()
        case made.OneOf(field=field, values=values):
            return any(is_true(made.Comparison(field, "=", value), row) for value in values)
        case made.Comparison(field=field, operator=operator, value=value):
            found = value_of(row, field)
            if found is None:
                return False
            same = kind(found) == kind(value)
            if operator == "!=":
                return not (same and found == value)
            return same and {
                "=": found == value, "<": found < value, "<=": found <= value, ">": found > value, ">=": found >= value
            }[operator]  # fmt: skip
    raise AssertionError(expression)


def in_order(rows: list[dict[str, Any]], order: tuple[SortKey, ...]) -> list[int]:
    """Ids as a list has them."""

    def compare(one: dict[str, Any], other: dict[str, Any]) -> int:
        for by in order:
            mine, its = value_of(one, by.field), value_of(other, by.field)
            if mine is None or its is None:
                if (mine is None) != (its is None):
                    return 1 if mine is None else -1
                continue
            first, second = (kind(mine), mine), (kind(its), its)
            if first != second:
                return (1 if first > second else -1) * (-1 if by.descending else 1)
        return (one["id"] - other["id"]) * (-1 if order[0].descending else 1)

    return [row["id"] for row in sorted(rows, key=functools.cmp_to_key(compare))]


def found(session: Session, wanted: ListQuery, limit: int) -> tuple[list[int], int, bool]:
    """All ids of a list, page by page, with the total of the first."""
    ids: list[int] = []
    last, totals = None, []
    while True:
        one = page.find(session, wanted, last, limit + 1)
        totals.append((one.total, one.is_exact))
        ids += [place.experiment_id for place in one.places[:limit]]
        if len(one.places) <= limit:
            break
        last = cursors.decode(cursors.encode(one.places[limit - 1], "list"), "list", wanted.order)
    assert len(set(totals)) == 1
    return ids, *totals[0]


def literal(value: Any) -> str:
    """A value as it is written in a filter."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def has_an_order(test: str) -> bool:
    """True and false have none: what compares them otherwise is an error."""
    return not re.search("[<>]=? (true|false)$", test)


values = st.sampled_from(VALUES)
fields = st.sampled_from(FIELDS)
negation = st.sampled_from(["", "not "])
operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
texts = st.sampled_from(["", "a", "A", "B", "c", "é", "net"])
some_values = st.lists(values.map(literal), min_size=1, max_size=4).map(", ".join)
tests = st.one_of(
    st.builds("{} {} {}".format, fields, operators, values.map(literal)).filter(has_an_order),
    st.builds('{} contains "{}"'.format, fields, texts),
    st.builds("{} {}in ({})".format, fields, negation, some_values),
    st.builds("{} is {}null".format, fields, negation),
)
filters = st.recursive(
    tests,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("{} or {}".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=6,
)
orders = st.lists(fields, min_size=1, max_size=3, unique=True).flatmap(
    lambda names: st.tuples(*(st.sampled_from([name, f"-{name}"]) for name in names)).map(",".join)
)
quick = examples(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(params=[page.COUNTED, 3], ids=["gathered", "walked"], scope="module")
def counted(request: pytest.FixtureRequest) -> Iterator[int]:
    """Both ways to a page: few that fit are gathered, many are walked to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "COUNTED", request.param)
        yield request.param


@pytest.fixture(scope="module")
def session(own_engine: Engine, stored: list[dict[str, Any]]) -> Iterator[Session]:
    """One for all examples."""
    with Session(own_engine) as session:
        yield session


class TestAgainstPlainPython:
    @quick
    @given(text=filters, sort=orders, limit=st.sampled_from([4, 7, 100]))
    def test_any_filter_in_any_order_on_any_page(
        self, session: Session, stored: list[dict[str, Any]], counted: int, text: str, sort: str, limit: int
    ) -> None:
        expression, order = grammar.read_filter(text), grammar.read_sort(sort)
        parts = expression.parts if isinstance(expression, made.All) else (expression,)
        ids, total, is_exact = found(session, ListQuery(parts, order, with_model=False), limit)
        expected = in_order([row for row in stored if is_true(expression, row)], order)
        assert ids == expected
        assert (total, is_exact) == (min(len(expected), counted), len(expected) <= counted)

    @pytest.mark.parametrize(
        "sort", ["params.b", "-metrics.f1", "params.b,-metrics.f1", "-metrics.f1,params.b"]
    )
    def test_all_of_them_in_any_order(
        self, session: Session, stored: list[dict[str, Any]], counted: int, sort: str
    ) -> None:
        order = grammar.read_sort(sort)
        ids, total, _ = found(session, ListQuery((), order, with_model=False), 6)
        assert ids == in_order(stored, order)
        assert total == min(COUNT, counted)


def make(api: httpx.Client, name: str, *values: float, **more: Any) -> None:
    """An experiment with a curve of f1."""
    curves = {"f1": {"steps": list(range(len(values))), "values": list(values)}} if values else {}
    api.post("/v1/experiments", json={"name": name, "curves": curves, **more}).raise_for_status()


def names(api: httpx.Client, **query: Any) -> list[str]:
    """Names of a list's first page."""
    answer = api.get("/v1/experiments", params=query)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


class TestOverHttp:
    def test_best_first_with_parameters_in_a_range(self, api: httpx.Client) -> None:
        make(api, "good", 0.2, 0.95, parameters={"lr": 0.01})
        make(api, "best", 0.99, parameters={"lr": 0.05})
        make(api, "fast", 0.97, parameters={"lr": 0.5})
        make(api, "bare")
        asked = {"filter": "metrics.f1 > 0.9 and params.lr < 0.1", "sort": "-metrics.f1"}
        assert names(api, **asked) == ["best", "good"]
        assert names(api, filter="params.lr is null") == ["bare"]
        assert names(api, sort="metrics.f1.final,name") == ["good", "fast", "best", "bare"]
        assert names(api, filter="") == ["bare", "fast", "best", "good"]

    def test_columns_are_what_comes_back(self, api: httpx.Client) -> None:
        make(api, "net", 0.5, parameters={"lr": 1, "b": 2}, tags={"team": "a", "x": "y"})
        whole = api.get("/v1/experiments").json()["items"][0]
        some = api.get("/v1/experiments?columns=metrics.f1.final,params.lr,params.none").json()["items"][0]
        assert some == {**whole, "parameters": {"lr": 1}, "tags": {}}
        none = api.get("/v1/experiments?columns=name").json()["items"][0]
        assert none == {**whole, "metrics": {}, "parameters": {}, "tags": {}}

    @pytest.mark.parametrize("query", ["filter=lr", "sort=lr", "columns=lr", "sort=", "filter=%ff"])
    def test_what_cannot_be_read_is_a_400_with_an_example(self, api: httpx.Client, query: str) -> None:
        answer = api.get(f"/v1/experiments?{query}")
        assert answer.status_code == 400
        assert answer.json()["error"] == f"bad_{query.partition('=')[0]}"
        assert "Example: " in answer.json()["detail"]

    def test_a_deleted_experiment_leaves_no_key(self, api: httpx.Client, engine: Engine) -> None:
        make(api, "net", 0.5, parameters={"lr": 1})
        with engine.connect() as connection:
            assert connection.exec_driver_sql("select count(*) from experiment_keys").scalar_one() > 5
        api.delete("/v1/experiments/net").raise_for_status()
        with engine.connect() as connection:
            assert connection.exec_driver_sql("select count(*) from experiment_keys").scalar_one() == 0

    def test_a_changed_experiment_is_found_by_what_it_has_now(
        self, api: httpx.Client, engine: Engine
    ) -> None:
        make(api, "net", 0.5, parameters={"lr": 1, "deep": True})
        with Session(engine) as session, session.begin():
            row = session.query(Experiment).one()
            row.parameters = {"lr": 2, "wide": "yes"}
            row.display_name = "The Net"
        assert names(api, filter="params.lr = 2 and params.deep is null and params.wide = 'yes'") == ["net"]
        assert names(api, filter="params.lr = 1 or params.deep = true") == []
        assert names(api, filter="display_name contains 'the n'") == ["net"]

    def test_a_search_looks_into_both_names_and_not_across_them(self, api: httpx.Client) -> None:
        make(api, "net-one", display_name="Ärger 5")
        make(api, "other", display_name="First NET")
        assert names(api, search="NET", sort="name") == ["net-one", "other"]
        assert names(api, search="ärg") == names(api, search="t-o") == ["net-one"]
        assert names(api, search="oneä") == names(api, search="one ä") == names(api, search="names") == []
        assert names(api, search="net", filter="display_name contains '5'") == ["net-one"]
        api.patch("/v1/experiments/other", json={"display_name": "Second"}).raise_for_status()
        assert names(api, search="net") == ["net-one"]
        assert names(api, search="SECOND") == ["other"]

    def test_long_texts_are_compared_by_their_first_500_characters(self, api: httpx.Client) -> None:
        make(api, "net", parameters={"config": "é" * 499 + "XY" + "z" * 9000})
        make(api, "other", parameters={"config": "\U0001f600" * 9000})
        assert names(api, filter="params.config contains 'éx'") == ["net"]
        assert names(api, filter="params.config contains 'y'") == []
        assert names(api, sort="params.config") == ["net", "other"]

    def test_the_task_is_that_of_the_newest_version(self, api: httpx.Client, engine: Engine) -> None:
        make(api, "net")
        make(api, "bare")
        assert names(api, filter="task is null") == ["bare", "net"]
        make_version(engine, 1, experiment="net", task="digits")
        make_version(engine, 2, experiment="net", task="Wine")
        assert [item["task"] for item in api.get("/v1/experiments").json()["items"]] == [None, "Wine"]
        assert names(api, filter='task = "Wine" and task contains "wi"') == names(api, task="Wine") == ["net"]
        assert names(api, task="digits") == names(api, filter='task = "digits"') == []
        assert names(api, sort="-task") == ["net", "bare"]
        assert api.get("/v1/tasks").json() == {"items": ["Wine"]}
        api.delete("/v1/experiments/net/versions/2").raise_for_status()
        assert names(api, task="digits") == ["net"]
        api.delete("/v1/experiments/net?cascade=true").raise_for_status()
        assert api.get("/v1/tasks").json() == {"items": []}

    def test_a_task_that_no_spec_names_is_that_of_the_version(
        self, api: httpx.Client, tmp_path: Path
    ) -> None:
        make(api, "net")
        archive = make_mar(tmp_path)
        version = api.post("/v1/experiments/net/versions", content=archive).json()
        assert api.get("/v1/experiments/net").json()["task"] == version["task"]
        assert names(api, task=version["task"]) == ["net"]

    def test_changes_of_two_versions_at_once_leave_one_task(self, api: httpx.Client, engine: Engine) -> None:
        make(api, "net")
        make_version(engine, 1, experiment="net", task="one")
        make_version(engine, 2, experiment="net", task="two")
        with engine.connect() as first, ThreadPoolExecutor(1) as others:
            first.exec_driver_sql("delete from model_versions where number = 2")
            other = others.submit(make_version, engine, 3, experiment="net", task="three")
            until(lambda: _waits(engine))
            first.commit()
            other.result(10)
        assert api.get("/v1/tasks").json() == {"items": ["three"]}


def _waits(engine: Engine) -> bool:
    """Whether a connection waits for a lock."""
    with engine.connect() as connection:
        found = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        return bool(connection.exec_driver_sql(found).scalar_one())
