"""CSV files as programs write them: spreadsheets, R, pandas, PowerShell, databases. Each is read whole, and right."""

import codecs
from typing import Any

import httpx
import pytest

from tests.metadata_api.test_importing import csv, loss

HEADER = "Experiment Name,Learning Rate,Momentum,Loss"
CURVE = '"{""Step"": [1, 2], ""Value"": [0.5, 0.25]}"'
BARE = '{"Step": [1, 2], "Value": [0.5, 0.25]}'
PLAIN = f"{HEADER}\na,0.01,0.9,{CURVE}\n"
BY_TABS = PLAIN.replace(CURVE, BARE).replace(",", "\t").replace("\t 2]", ", 2]").replace("\t 0.25", ", 0.25")
BY_TABS = BY_TABS.replace('\t "Value"', ', "Value"')
QUOTED = '"Experiment Name";"Learning Rate";"Momentum";"Loss"'

# What a program wrote -> the further parameters of its one row, which is a, 0.01, 0.9 and the curve.
FILES: dict[str, tuple[str | bytes, dict[str, Any]]] = {
    "commas": (PLAIN, {}),
    "only the first name in quotes": (PLAIN.replace("Experiment Name", '"Experiment Name"'), {}),
    "only the last name in quotes": (PLAIN.replace("Loss", '"Loss"'), {}),
    "every cell in quotes": (f'{QUOTED.replace(";", ",")}\n"a","0.01","0.9",{CURVE}\n', {}),
    "an index of pandas": (f",{HEADER},Epochs\n0,a,0.01,0.9,{CURVE},3\n", {"Epochs": 3}),
    "an index that pandas read back": (f"Unnamed: 0,{HEADER}\n0,a,0.01,0.9,{CURVE}\n", {}),
    "names of rows, written by R": (f'"",{HEADER.replace(" ", ".")}\n"1","a",0.01,0.9,{CURVE}\n', {}),
    "names of rows that have no header, written by R": (f'"{HEADER}"\n"1","a",0.01,0.9,{CURVE}\n'.replace(
        f'"{HEADER}"', '"Experiment.Name","Learning.Rate","Momentum","Loss"'
    ), {}),
    "names as databases have them": (PLAIN.replace(HEADER, "experiment_name,LEARNING_RATE,momentum,loss"), {}),
    "tabs and no quotes": (BY_TABS, {}),
    "tabs in UTF-16 with a mark": (codecs.BOM_UTF16_LE + BY_TABS.replace("\n", "\r\n").encode("utf-16-le"), {}),
    "UTF-16, the other way round": (codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"), {}),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-le"), {}),
    "UTF-16 without a mark, the other way round": (PLAIN.encode("utf-16-be"), {}),
    "UTF-32": (codecs.BOM_UTF32_LE + PLAIN.encode("utf-32-le"), {}),
    "two byte order marks": (2 * codecs.BOM_UTF8 + PLAIN.encode(), {}),
    "Latin-1": (
        f"{HEADER},Größe\na,0.01,0.9,{CURVE},für Köln\n".encode("latin-1"), {"Größe": "für Köln"}
    ),
    "carriage returns only": (PLAIN.replace("\n", "\r"), {}),
    "bars": (f"{HEADER.replace(',', '|')}\na|0.01|0.9|{BARE}\n", {}),
    "semicolons and decimal commas": (f"{QUOTED};Rate\r\na;0,01;0,9;{CURVE};0,5\r\n", {"Rate": 0.5}),
    "semicolons and decimal points": (f"{QUOTED};Layers\na;0.01;0.9;{CURVE};64,128\n", {"Layers": "64,128"}),
    "a decimal comma in one of two": (f"{QUOTED}\na;1e-2;0,9;{CURVE}\n", {}),
    "a thousand beside decimal commas": (f"{QUOTED};N\na;0,01;0,9;{CURVE};1.234\n", {"N": "1.234"}),
    "a line that names the separator": (f"sep=;\r\n{QUOTED}\r\na;0,01;0,9;{CURVE}\r\n", {}),
    "a line that names tabs": (f"sep=\t\n{BY_TABS}", {}),
    "a type by PowerShell": (f"#TYPE System.Management.Automation.PSCustomObject\n{PLAIN}", {}),
    "empty columns at the end": (f"{HEADER},,,\na,0.01,0.9,{CURVE},,,\n", {}),
    "empty rows at the end": (f"{PLAIN},,,\n , ,,\n\n", {}),
    "rows shorter than the header": (f"{HEADER},Note,Tag\na,0.01,0.9,{CURVE}\n", {}),
    "values that are missing": (
        f"{HEADER},A,B,C,D,E,F\na,0.01,0.9,{CURVE},NA,null,NaN,#N/A,\\N,None\n", {"F": "None"}
    ),
    "backslashes before quotes, from a database": (
        HEADER + ',A,B\n"a",0.01,0.9,"{\\"Step\\": [1, 2], \\"Value\\": [0.5, 0.25]}",\\N,"5\\" x"\n', {"B": '5" x'}
    ),
    "single quotes": (f"'{HEADER.replace(',', chr(39) + ',' + chr(39))}'\n'a',0.01,0.9,'{BARE}'\n", {}),
    "blanks after separators": (PLAIN.replace(",0", ", 0").replace(CURVE, f" {CURVE}"), {}),
    "truth as R writes it": (f"{HEADER},Fast\na,0.01,0.9,{CURVE},TRUE\n", {"Fast": True}),
    "thousands of columns": (
        f"{HEADER},{','.join(f'p{n}' for n in range(3000))}\na,0.01,0.9,{CURVE},{','.join(map(str, range(3000)))}\n",
        {f"p{n}": n for n in range(3000)},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "more"), FILES.values(), ids=FILES)
def test_a_file_is_read_as_its_program_meant_it(
    api: httpx.Client, content: str | bytes, more: dict[str, Any]
) -> None:
    answer = api.post("/v1/imports", content=content if isinstance(content, bytes) else content.encode())
    assert answer.status_code == 201, answer.text
    report = answer.json()
    assert (report["accepted"], report["problems"]) == (1, [])
    found = api.get("/v1/experiments").json()["items"][0]
    assert found["display_name"] == "a"
    assert found["parameters"] == {"learning_rate": 0.01, "momentum": 0.9, **more}
    curve = api.get("/v1/curves", params={"experiment": "a"}).json()["curves"][0]
    assert (curve["steps"], curve["values"]) == ([1, 2], [0.5, 0.25])


@pytest.mark.parametrize("missing", ["null", "NaN", '""NA""', '""NaN""'])
def test_a_loss_that_was_none_is_kept_as_none(api: httpx.Client, missing: str) -> None:
    cell = f'"{{""Step"": [1, 2], ""Value"": [0.5, {missing}]}}"'
    assert api.post("/v1/imports", content=csv(f"a,0.01,0.9,{cell}")).json()["accepted"] == 1
    curve = api.get("/v1/curves", params={"experiment": "a"}).json()["curves"][0]
    assert curve["values"] == [0.5, None]
    assert curve["non_finite"] == [{"step": 2, "value": "NaN"}]


def test_lines_are_those_of_the_file_after_lines_before_the_header(api: httpx.Client) -> None:
    content = f"sep=;\n# by hand\n\n{HEADER.replace(',', ';')}\na;0,01;0,9;{CURVE}\nb;1.125;0,9;{CURVE}\n"
    report = api.post("/v1/imports", content=content.encode()).json()
    assert report["accepted"] == 1
    problem = report["problems"][0]
    assert (problem["line"], problem["column"]) == (6, "Learning Rate")
    assert "decimal comma" in problem["reason"]


def test_a_value_without_a_column_costs_its_row_only(api: httpx.Client) -> None:
    content = f"{HEADER},,\na,0.01,0.9,{CURVE},,\nb,0.01,0.9,{CURVE},,lost\n"
    report = api.post("/v1/imports", content=content.encode()).json()
    assert (report["accepted"], report["rejected"]) == (1, 1)
    assert "6 cells, the header has 4" in report["problems"][0]["reason"]


def test_the_same_rows_in_another_dialect_are_unchanged(api: httpx.Client) -> None:
    curve = loss(1, 2)
    api.post("/v1/imports", content=csv(f"a,0.01,0.9,{curve}"))
    other = f"{HEADER.replace(',', ';')}\r\na;0,01;0,9;{curve}\r\n".encode("utf-16")
    assert api.post("/v1/imports", content=other).json()["unchanged"] == 1
