"""Import of a CSV over HTTP and on the command line: good rows in, bad rows reported, never half a row."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from metadata_api.errors import Conflict
from metadata_api.importing import __main__, import_experiments
from metadata_api.importing.writer import slug
from metadata_api.schemas.imports import ImportReport, Problem
from tests.conftest import ROOT
from tests.metadata_api.conftest import row_counts

HEADER = "Experiment Name,Learning Rate,Momentum,Loss"
TWO_BAD = (ROOT / "tests" / "data" / "two-bad-rows.csv").read_bytes()


def loss(*values: float) -> str:
    """A cell with a curve."""
    text = json.dumps({"Step": list(range(len(values))), "Value": list(values)})
    return '"' + text.replace('"', '""') + '"'


def csv(*rows: str, header: str = HEADER) -> bytes:
    """A file of these rows."""
    return "\n".join([header, *rows, ""]).encode()


def test_good_rows_are_stored_and_bad_ones_reported_with_line_column_and_reason(api: httpx.Client) -> None:
    answer = api.post("/v1/imports", content=TWO_BAD, params={"filename": "two.csv"})
    assert answer.status_code == 201
    report = answer.json()
    assert (report["accepted"], report["unchanged"], report["rejected"]) == (4, 0, 2)
    assert [(problem["line"], problem["column"]) for problem in report["problems"]] == [
        (4, "Learning Rate"),
        (6, "Loss"),
    ]
    assert "0.01" in report["problems"][0]["reason"]
    assert "3 steps and 2 values" in report["problems"][1]["reason"]
    assert report["experiments"] == ["lenet-slow", "lenet-steady", "lenet-wide", "lenet-last"]
    assert api.get(f"/v1/imports/{report['id']}").json() == report


def test_a_row_becomes_an_experiment_with_parameters_and_curve(api: httpx.Client) -> None:
    api.post(
        "/v1/imports",
        content=csv(f"Net 1,0.01,0.9,{loss(2.5, 0.5, 1.0)},yes please,3", header=HEADER + ",Note,Epochs"),
    )
    found = api.get("/v1/experiments/net-1").json()
    assert found["display_name"] == "Net 1"
    assert found["source"] == "import"
    assert found["parameters"] == {"learning_rate": 0.01, "momentum": 0.9, "Note": "yes please", "Epochs": 3}
    assert found["metrics"]["loss"] == {
        "direction": "min",
        "final": 1.0,
        "final_step": 2,
        "best": 0.5,
        "best_step": 1,
        "points": 3,
    }
    curve = api.get("/v1/curves", params={"experiment": "net-1"}).json()["curves"][0]
    assert (curve["steps"], curve["values"]) == ([0, 1, 2], [2.5, 0.5, 1.0])


def test_importing_again_changes_nothing_and_says_so(api: httpx.Client, engine: Engine) -> None:
    api.post("/v1/imports", content=TWO_BAD)
    before = row_counts(engine) | {"imports": 0, "audit_entries": 0}
    answer = api.post("/v1/imports", content=TWO_BAD)
    assert answer.status_code == 200
    assert (answer.json()["accepted"], answer.json()["unchanged"], answer.json()["rejected"]) == (0, 4, 2)
    assert row_counts(engine) | {"imports": 0, "audit_entries": 0} == before


def test_a_dry_run_gives_the_same_report_and_stores_nothing(api: httpx.Client, engine: Engine) -> None:
    before = row_counts(engine)
    trial = api.post("/v1/imports?dry_run=true", content=TWO_BAD).json()
    assert row_counts(engine) == before
    real = api.post("/v1/imports", content=TWO_BAD).json()
    assert {**trial, "id": 0, "dry_run": 0, "created_at": 0} == {
        **real,
        "id": 0,
        "dry_run": 0,
        "created_at": 0,
    }


def test_a_corrected_file_adds_only_what_was_missing(api: httpx.Client) -> None:
    api.post("/v1/imports", content=TWO_BAD)
    report = api.post("/v1/imports", content=TWO_BAD.replace(b"quick,abc", b"quick,0.02")).json()
    assert (report["accepted"], report["unchanged"], report["rejected"]) == (1, 4, 1)
    assert report["experiments"] == ["lenet-quick"]


def test_a_form_with_a_file_is_taken_too(api: httpx.Client) -> None:
    answer = api.post("/v1/imports", files={"file": ("mine.csv", TWO_BAD)})
    assert (answer.status_code, answer.json()["filename"]) == (201, "mine.csv")


def test_a_form_without_the_file_is_refused(api: httpx.Client) -> None:
    answer = api.post("/v1/imports", files={"other": ("mine.csv", TWO_BAD)})
    assert (answer.status_code, answer.json()["error"]) == (400, "file_missing")


def test_a_name_that_is_there_with_other_values_is_left_out(api: httpx.Client) -> None:
    api.post("/v1/experiments", json={"name": "taken"})
    api.post("/v1/imports", content=csv(f"Net,0.1,0.9,{loss(1)}"))
    report = api.post("/v1/imports", content=csv(f"Net,0.2,0.9,{loss(1)}", f"taken,0.1,0.9,{loss(1)}")).json()
    assert (report["accepted"], report["rejected"]) == (0, 2)
    assert all("there already, with other values" in problem["reason"] for problem in report["problems"])
    assert api.get("/v1/experiments/net").json()["parameters"]["learning_rate"] == 0.1


def test_a_name_that_stands_twice_in_a_file_is_taken_once(api: httpx.Client) -> None:
    rows = (f"Net,0.1,0.9,{loss(1)}", f"Net,0.2,0.9,{loss(1)}", f"Net,0.1,0.9,{loss(1)}")
    report = api.post("/v1/imports", content=csv(*rows)).json()
    assert (report["accepted"], report["unchanged"], report["rejected"]) == (1, 1, 1)
    assert report["problems"][0]["line"] == 3
    assert "in line 2" in report["problems"][0]["reason"]


def test_names_that_give_the_same_label_are_numbered(api: httpx.Client) -> None:
    api.post("/v1/experiments", json={"name": "net-1-2"})
    rows = [f"{name},0.1,0.9,{loss(1)}" for name in ("Net 1", "net_1", "NET-1!")]
    assert api.post("/v1/imports", content=csv(*rows)).json()["experiments"] == [
        "net-1",
        "net-1-3",
        "net-1-4",
    ]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Net 1", "net-1"),
        ("1st", "e-1st"),
        ("Größe", "groe"),
        ("実験", "e"),
        ("-a-", "a"),
        ("x" * 60, "x" * 40),
    ],
)
def test_any_name_gives_a_dns_label(name: str, label: str) -> None:
    assert slug(name) == label


def test_losses_that_are_not_finite_are_kept_and_named(api: httpx.Client) -> None:
    cell = '"{""Step"": [1, 2, 3, 4], ""Value"": [1.5, NaN, Infinity, -Infinity]}"'
    assert api.post("/v1/imports", content=csv(f"Net,0.1,0.9,{cell}")).json()["accepted"] == 1
    curve = api.get("/v1/curves", params={"experiment": "net"}).json()["curves"][0]
    assert curve["values"] == [1.5, None, None, None]
    assert curve["non_finite"] == [
        {"step": 2, "value": "NaN"}, {"step": 3, "value": "Infinity"}, {"step": 4, "value": "-Infinity"}
    ]  # fmt: skip
    metrics = api.get("/v1/experiments").json()["items"][0]["metrics"]["loss"]
    assert (metrics["final"], metrics["best"], metrics["best_step"]) == (None, 1.5, 1)


def test_a_second_import_at_the_same_time_is_told_to_wait(
    engine: Engine, clean: None, tmp_path: Path
) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(TWO_BAD)
    with Session(engine) as first, Session(engine) as second:
        import_experiments(first, file, filename="a.csv")
        with pytest.raises(Conflict, match="Another import is running"):
            import_experiments(second, file, filename="a.csv")
        first.rollback()


def test_the_command_line_prints_the_report_and_tells_by_its_exit_code(
    postgres_url: str,
    clean: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("METADATA_API_DATABASE_URL", postgres_url)

    def run(content: bytes) -> int:
        (tmp_path / "a.csv").write_bytes(content)
        monkeypatch.setattr(sys, "argv", ["importing", str(tmp_path / "a.csv")])
        return __main__.main()

    assert run(TWO_BAD) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("4 imported, 0 unchanged, 2 rejected\nline 4, Learning Rate: ")
    assert run(csv(f"Net,0.1,0.9,{loss(1)}")) == 0
    assert run(b"") == 2
    assert "empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (None, "METADATA_API_DATABASE_URL: Field required"),
        ("nonsense", "the settings of the database are wrong: "),
        ("postgresql://stranger@127.0.0.1:9/none", "the database does not take the import: "),
    ],
)
def test_wrong_settings_are_one_line_and_no_traceback(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    url: str | None,
    said: str,
) -> None:
    for name in [name for name in os.environ if name.startswith("METADATA_API_")]:
        monkeypatch.delenv(name)
    if url:
        monkeypatch.setenv("METADATA_API_DATABASE_URL", url)
    (tmp_path / "a.csv").write_bytes(TWO_BAD)
    monkeypatch.setattr(sys, "argv", ["importing", str(tmp_path / "a.csv")])
    assert __main__.main() == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(said)
    assert printed.err.count("\n") == 1


def test_a_long_report_says_how_much_it_leaves_out() -> None:
    problems = [Problem(line=line, column=None, reason="wrong") for line in range(2, 5)]
    report = ImportReport(
        id=1, filename="a.csv", dry_run=True, accepted=0, unchanged=1, rejected=3, problems=problems,
        experiments=[], created_at=None,
    )  # fmt: skip
    assert report.readable(listed=1) == (
        "0 imported, 1 unchanged, 3 rejected (dry run: nothing was stored)\nline 2: wrong\n... and 2 more\n"
    )
    assert report.readable(listed=3).endswith("line 4: wrong\n")


@pytest.mark.parametrize("form", [False, True])
def test_a_full_disk_is_a_507_and_stores_nothing(
    api: httpx.Client, app: FastAPI, engine: Engine, monkeypatch: pytest.MonkeyPatch, form: bool
) -> None:
    monkeypatch.setattr("metadata_api.storage.folder.secrets.token_hex", lambda _: "full")
    (app.state.components.artifacts.first.partial / "full").symlink_to("/dev/full")
    sent: dict[str, Any] = {"files": {"file": ("a.csv", TWO_BAD)}} if form else {"content": TWO_BAD}
    answer = api.post("/v1/imports", **sent)
    assert (answer.status_code, answer.json()["error"]) == (507, "disk_full")
    assert sum(row_counts(engine).values()) == 0
    monkeypatch.undo()
    assert api.post("/v1/imports", **sent).status_code == 201


@pytest.mark.clock
def test_five_thousand_rows_are_stored_within_seconds(api: httpx.Client) -> None:
    curve = loss(*(1 / (step + 1) for step in range(30)))
    content = csv(*(f"run {number},0.1,0.9,{curve}" for number in range(5000)))
    start = time.monotonic()
    assert api.post("/v1/imports", content=content).json()["accepted"] == 5000
    assert time.monotonic() - start < 15
    assert api.get("/v1/experiments?limit=1").json()["total"] == 5000
