"""What can be written as filter, sort order and columns, and what is said about everything else."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_api.errors import Invalid
from metadata_api.listing import grammar
from metadata_api.listing.expressions import (
    All,
    AnyOf,
    Comparison,
    Contains,
    Expression,
    IsNull,
    Not,
    OneOf,
    SortKey,
)
from metadata_api.listing.fields import Field

F1 = Field("metrics", "f1", "best")
LR = Field("params", "lr")
NAME = Field("", "name")
UNDERSTOOD: dict[str, Expression] = {
    "metrics.f1 > 0.9": Comparison(F1, ">", 0.9),
    "metrics.f1.best>=.9": Comparison(F1, ">=", 0.9),
    "metrics.f1.final <= -1e3": Comparison(Field("metrics", "f1", "final"), "<=", -1000.0),
    'metrics."f1.final" = 1': Comparison(Field("metrics", "f1.final", "best"), "=", 1.0),
    'metrics."f1.final".final = 1': Comparison(Field("metrics", "f1.final", "final"), "=", 1.0),
    "metrics.val.f1-x = 1": Comparison(Field("metrics", "val.f1-x", "best"), "=", 1.0),
    "params.lr != 'a'": Comparison(LR, "!=", "a"),
    'params."a \\"b\\"" = true': Comparison(Field("params", 'a "b"'), "=", True),
    'params."" = 1': Comparison(Field("params", ""), "=", 1.0),
    'name CONTAINS "Net"': Contains(NAME, "Net"),
    'tags.team in ("a", 1, false)': OneOf(Field("tags", "team"), ("a", 1.0, False)),
    "params.lr is null": IsNull(LR),
    "params.lr is not null": Not(IsNull(LR)),
    "params.lr not in (1)": All((Not(IsNull(LR)), Not(OneOf(LR, (1.0,))))),
    "not not params.lr is null": Not(Not(IsNull(LR))),
    "params.lr = 1 or params.lr = 2 and metrics.f1 = 3": AnyOf(
        (Comparison(LR, "=", 1.0), All((Comparison(LR, "=", 2.0), Comparison(F1, "=", 3.0))))
    ),
    "(params.lr = 1 or params.lr = 2) and metrics.f1 = 3": All(
        (AnyOf((Comparison(LR, "=", 1.0), Comparison(LR, "=", 2.0))), Comparison(F1, "=", 3.0))
    ),
    'created_at < "1970-01-02"': Comparison(Field("", "created_at"), "<", 86_400e6),
    'created_at < "1970-01-01T02:00:00+01:00"': Comparison(Field("", "created_at"), "<", 3_600e6),
}
REJECTED = {
    "metrics.f1 >": "at its end: expected a number or a text in quotes or false or true",
    "metrics.f1 > 1 and": "at its end: expected",
    "metrics.f1 ? 2": "at character 12 ('? 2'): expected",
    "params.lr = maybe": "at character 13 ('maybe'): expected a number",
    "loss < 1": "at character 1: there is no field loss; use name,",
    "param.lr = 1": "at character 1: there is no param.; use metrics., params. or tags.",
    'metrics."f1".worst = 1': "a metric has .best and .final, and no .worst",
    'params."lr".best = 1': "only metrics have .best and .final",
    "params.on < true": "at character 11: true and false can only be compared by = and !=",
    "created_at > 5": "at character 14: write a time as",
    'created_at > "yesterday"': "at character 14: write a time as",
    "params.lr = 1e999": "the number is too large",
    f'name = "{"x" * 201}"': "a text may have at most 200 characters",
    'name = "\x00"': "a character that no value can have",
    "(" * 5 + "name = 'a'": "at its end: expected",
    " and ".join(["params.lr = 1"] * 21): "it has 21 comparisons; at most 20 are allowed",
    "not " * 25 + "params.lr = 1": "it is nested more than 20 deep",
    f"params.lr in ({', '.join('1' * 101)})": "`in` may have at most 100 values",
    "x" * 2001: "it has 2,001 characters; at most 2,000 are allowed",
}


@pytest.mark.parametrize("text", UNDERSTOOD)
def test_a_filter_means_what_it_says(text: str) -> None:
    assert grammar.read_filter(text) == UNDERSTOOD[text]


@pytest.mark.parametrize(("text", "said"), REJECTED.items(), ids=range(len(REJECTED)))
def test_what_cannot_be_read_is_told_where_and_with_an_example(text: str, said: str) -> None:
    with pytest.raises(Invalid) as error:
        grammar.read_filter(text)
    assert error.value.code == "bad_filter"
    assert said in error.value.detail
    assert error.value.detail.endswith("Example: filter=metrics.f1 > 0.9 and params.lr < 0.1")


def test_a_sort_order_names_up_to_three_fields() -> None:
    assert grammar.read_sort("-metrics.f1, name") == (SortKey(F1, True), SortKey(NAME, False))
    for text in ("", "-", "name,", "name,-name", "name;drop", "a,b", "name,source,params.a,params.b"):
        with pytest.raises(Invalid, match="^sort: .* Example: sort=-metrics.f1,created_at$"):
            grammar.read_sort(text)


def test_columns_are_fields_each_once() -> None:
    assert grammar.read_columns('metrics.f1,params.lr, name ,metrics."f1"') == (F1, LR, NAME)
    with pytest.raises(Invalid, match="^columns: .* Example: columns="):
        grammar.read_columns("metrics.f1 params.lr")


@given(
    st.sampled_from(("metrics", "params", "tags")),
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20),
    st.sampled_from(("best", "final")),
)
def test_whatever_its_name_a_field_is_read_as_it_is_written(section: str, name: str, part: str) -> None:
    field = Field(section, name, part if section == "metrics" else "")  # type: ignore[arg-type]
    assert grammar.read_columns(str(field)) == (field,)


@given(st.text(max_size=60) | st.lists(st.sampled_from(
    ["not ", "and ", "or ", "(", ")", "in ", "is ", "null ", "params.a ", "metrics.b.final ", "= ", "< ", "1 ", '"x" ',
     "true ", "contains ", ", ", "name ", "created_at ", "'", '"', "\\", "-"]
), max_size=30).map("".join))  # fmt: skip
def test_any_text_can_be_read_or_is_an_error(text: str) -> None:
    for read in (grammar.read_filter, grammar.read_sort, grammar.read_columns):
        with suppress(Invalid):
            read(text)
