"""Files that break importers: whole files are rejected, broken rows cost themselves only."""

import codecs

import httpx
import pytest
from sqlalchemy import Engine

from tests.metadata_api.conftest import row_counts
from tests.metadata_api.test_importing import HEADER, csv, loss

GOOD = f"good,0.1,0.9,{loss(1.0)}"

WHOLE_FILES = {
    "empty": (b"", "file_empty"),
    "blank": (b"\n \r\n", "file_empty"),
    "a byte order mark only": (codecs.BOM_UTF8, "file_empty"),
    "UTF-16 that ends within a character": (csv(GOOD).decode().encode("utf-16") + b"x", "not_utf8"),
    "Cyrillic in an encoding of one byte": (csv("размер,0.1,0.9,x").decode().encode("cp1251"), "not_utf8"),
    "Czech in an encoding of one byte": (csv("učení,0.1,0.9,x").decode().encode("cp1250"), "not_utf8"),
    "German in an encoding of DOS": (csv("größe,0.1,0.9,x").decode().encode("cp850"), "not_utf8"),
    "UTF-8 and Latin-1 in one file": (csv("größe,0.1,0.9,x") + "größe".encode("latin-1"), "not_utf8"),
    "ends within a character": (csv(GOOD) + "é".encode()[:1], "not_utf8"),
    "an image": (b"\x89PNG\r\n\x1a\n" + bytes(100), "not_utf8"),
    "no header": (f"{GOOD}\n{GOOD}\n".encode(), "missing_column"),
    "a column missing": (csv(GOOD, header="Experiment Name,Learning Rate,Loss"), "missing_column"),
    "a column twice": (csv(GOOD, header=HEADER + ",Momentum"), "bad_header"),
    "a parameter twice": (csv(GOOD, header=HEADER + ",momentum"), "bad_header"),
    "a column without name": (csv(GOOD, header=HEADER.replace(",Loss", ",,Loss")), "bad_header"),
    "the wrong separator by name": (b"sep=;\n" + csv(GOOD), "missing_column"),
    "comments only": (b"# nothing\n" * 200, "missing_column"),
    "ten thousand columns": (
        csv(GOOD, header=HEADER + "".join(f",c{n}" for n in range(10_000))),
        "bad_header",
    ),
    "an open quote in the header": (csv(GOOD, header='"' + HEADER), "bad_header"),
    "JSON": (b'{"Experiment Name": "a"}\n', "missing_column"),
}


@pytest.mark.parametrize(("content", "code"), WHOLE_FILES.values(), ids=WHOLE_FILES)
def test_a_file_that_cannot_be_read_is_refused_and_nothing_stored(
    api: httpx.Client, engine: Engine, content: bytes, code: str
) -> None:
    before = row_counts(engine)
    answer = api.post("/v1/imports", content=content)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == code
    assert row_counts(engine) == before


def test_what_is_wrong_with_a_header_is_said_with_line_and_remedy(api: httpx.Client) -> None:
    content = b"# made by hand\n\n" + csv(GOOD, header="Experiment Name;Learning Rate;Momentum;Losses")
    detail = api.post("/v1/imports", content=content).json()["detail"]
    assert detail == (
        "The header, line 3, lacks Loss. It needs Experiment Name, Learning Rate, Momentum, Loss; by semicolons it has "
        "'Experiment Name', 'Learning Rate', 'Momentum', 'Losses'. Rename or add columns."
    )


def test_what_is_wrong_with_an_encoding_is_said_with_line_and_remedy(api: httpx.Client) -> None:
    content = csv(GOOD, "размер,0.1,0.9,x").decode().encode("cp1251")
    detail = api.post("/v1/imports", content=content).json()["detail"]
    assert "line 3" in detail
    assert "Save the file as UTF-8" in detail


ROWS = {
    "no name": (f",0.1,0.9,{loss(1)}", "Experiment Name", "empty"),
    "a long name": (f"{'x' * 201},0.1,0.9,{loss(1)}", "Experiment Name", "200"),
    "a rate in words": (f"bad,fast,0.9,{loss(1)}", "Learning Rate", "number"),
    "an empty rate": (f"bad,,0.9,{loss(1)}", "Learning Rate", "number"),
    "digits with underscores": (f"bad,1_000,0.9,{loss(1)}", "Learning Rate", "number"),
    "digits of another script": (f"bad,١٢,0.9,{loss(1)}", "Learning Rate", "number"),
    "a rate that is too large": (f"bad,1e999,0.9,{loss(1)}", "Learning Rate", "number"),
    "a rate that is none": (f"bad,NaN,0.9,{loss(1)}", "Learning Rate", "number"),
    "a comma as decimal point": (f'bad,"0,1",0.9,{loss(1)}', "Learning Rate", "number"),
    "a cell too many": (f"{GOOD.replace('good', 'bad')},more", None, "5 cells"),
    "a curve without quotes": ('bad,0.1,0.9,{"Step": [1, 2], "Value": [1, 2]}', None, "double quotes"),
    "a rate of R that is not there": (f"bad,NA,0.9,{loss(1)}", "Learning Rate", "missing"),
    "a cell missing": ("bad,0.1,0.9", None, "3 cells"),
    "no curve": ("bad,0.1,0.9,", "Loss", "JSON"),
    "a curve of Python": ("bad,0.1,0.9,\"{'Step': [1], 'Value': [1]}\"", "Loss", "JSON"),
    "a list": ('bad,0.1,0.9,"[1, 2]"', "Loss", "object"),
    "other keys": ('bad,0.1,0.9,"{""step"": [1], ""value"": [1]}"', "Loss", "object"),
    "no lists": ('bad,0.1,0.9,"{""Step"": 1, ""Value"": 1}"', "Loss", "lists"),
    "unequal lengths": ('bad,0.1,0.9,"{""Step"": [1, 2], ""Value"": [1]}"', "Loss", "2 steps and 1 values"),
    "no points": ('bad,0.1,0.9,"{""Step"": [], ""Value"": []}"', "Loss", "no point"),
    "steps that fall": ('bad,0.1,0.9,"{""Step"": [2, 1], ""Value"": [1, 1]}"', "Loss", "grow"),
    "a step twice": ('bad,0.1,0.9,"{""Step"": [1, 1], ""Value"": [1, 1]}"', "Loss", "grow"),
    "a step with a fraction": ('bad,0.1,0.9,"{""Step"": [1.5], ""Value"": [1]}"', "Loss", "whole"),
    "a huge step": ('bad,0.1,0.9,"{""Step"": [99999999999999999999], ""Value"": [1]}"', "Loss", "between"),
    "a huge value": ('bad,0.1,0.9,"{""Step"": [1], ""Value"": [1e999]}"', "Loss", "too large"),
    "a value of 5,000 digits": (f'bad,0.1,0.9,"{{""Step"": [1], ""Value"": [{"9" * 5000}]}}"', "Loss", ""),
    "a value of 400 digits": (f'bad,0.1,0.9,"{{""Step"": [1], ""Value"": [{"9" * 400}]}}"', "Loss", ""),
    "a value in words": ('bad,0.1,0.9,"{""Step"": [1], ""Value"": [""low""]}"', "Loss", "number"),
    "a value that is true": ('bad,0.1,0.9,"{""Step"": [1], ""Value"": [true]}"', "Loss", "number"),
    "a very deep curve": (f"bad,0.1,0.9,{'[' * 100_000}", "Loss", ""),
    "a NUL": (f"b\x00d,0.1,0.9,{loss(1)}", None, "NUL"),
    "text after a quote": (f'"ba"d,0.1,0.9,{loss(1)}', None, "CSV"),
    "an open quote": (f'"bad,0.1,0.9,{loss(1)}', None, ""),
}


@pytest.mark.parametrize(("row", "column", "words"), ROWS.values(), ids=ROWS)
def test_a_broken_row_costs_itself_only(api: httpx.Client, row: str, column: str | None, words: str) -> None:
    other = GOOD.replace("good", "other")
    answer = api.post("/v1/imports", content=csv(GOOD, row, other))
    assert answer.status_code == 201
    report = answer.json()
    assert report["experiments"] == ["good", "other"]
    assert report["rejected"] == len(report["problems"]) == 1
    problem = report["problems"][0]
    assert (problem["line"], problem["column"]) == (3, column)
    assert words in problem["reason"]
    assert len(problem["reason"]) < 500


def test_line_numbers_are_those_of_an_editor_also_after_cells_of_several_lines(api: httpx.Client) -> None:
    tall = 'tall,0.1,0.9,"{""Step"": [1],\r\n\n ""Value"": [1]}"'
    report = api.post("/v1/imports", content=csv(GOOD, tall, "", "bad,x,0.9,{}")).json()
    assert report["accepted"] == 2
    assert [problem["line"] for problem in report["problems"]] == [7]


@pytest.mark.parametrize(
    "content", [codecs.BOM_UTF8 + csv(GOOD), csv(GOOD).replace(b"\n", b"\r\n")], ids=["mark", "CRLF"]
)
def test_what_spreadsheets_write_is_read(api: httpx.Client, content: bytes) -> None:
    assert api.post("/v1/imports", content=content).json()["experiments"] == ["good"]


def test_semicolons_are_read_as_well(api: httpx.Client) -> None:
    content = csv(f"good;0.1;0.9;{loss(1, 2)}", header=HEADER.replace(",", ";"))
    assert api.post("/v1/imports", content=content).json()["experiments"] == ["good"]


def test_a_thousand_open_quotes_cost_neither_time_nor_the_good_rows(api: httpx.Client) -> None:
    bad = [f'"bad {number},0.1,0.9,x' for number in range(999)]
    report = api.post("/v1/imports", content=csv(*bad, GOOD), timeout=20).json()
    assert (report["accepted"], report["rejected"]) == (1, 999)


def test_all_bad_rows_are_counted_and_the_first_thousand_listed(api: httpx.Client) -> None:
    report = api.post("/v1/imports", content=csv(*("bad,x,0.9,1" for _ in range(1500)))).json()
    assert (report["rejected"], len(report["problems"])) == (1500, 1000)
