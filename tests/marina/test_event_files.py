"""TensorBoard's event files, as PyTorch writes them, become experiments; broken ones give what is readable."""

import math
from pathlib import Path
from typing import Any

import httpx
import pytest

from marina.event_files import runs
from tests.marina.conftest import Marina


def writer(folder: Path, **options: str) -> Any:
    """PyTorch's own, which no other test needs to import."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), **options)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with two runs, one of them with hyperparameters below it."""
    logs = tmp_path / "logs"
    for name, rate in (("Adam lr=0.1", 0.1), ("sgd", 0.01)):
        with writer(logs / name) as log:
            for step in range(50):
                log.add_scalar("Loss/train", math.exp(-rate * step), step, walltime=1.7e9 + step)
                log.add_scalar("accuracy", step / 50, step, walltime=1.7e9 + step)
            log.add_text("note", "no scalar")
            log.add_scalar("Loss/train", math.nan, 50, walltime=1.7e9 + 50)
            if name == "sgd":
                hparams = {"lr": rate, "layers": 3, "optimizer": "sgd", "nesterov": True}
                log.add_hparams(hparams, {"hparam/accuracy": 0.98}, run_name=".")
    return logs


def shown(api: httpx.Client, name: str) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/v1/experiments/{name}").raise_for_status().json()
    return found


def test_each_folder_becomes_an_experiment(at_home: Marina, api: httpx.Client, logs: Path) -> None:
    said = at_home("import", logs)
    assert (said.code, said.out) == (0, "2 imported, 0 unchanged, 0 rejected\n"), said
    adam, sgd = shown(api, "adam-lr-0-1"), shown(api, "sgd")
    assert (adam["display_name"], adam["source"], adam["state"]) == ("Adam lr=0.1", "import", "finished")
    assert adam["metrics"].keys() == {"Loss/train", "accuracy"}
    assert (adam["metrics"]["accuracy"]["best"], adam["metrics"]["accuracy"]["direction"]) == (0.98, "max")
    assert sgd["parameters"] == {"lr": 0.01, "layers": 3, "optimizer": "sgd", "nesterov": True}
    query = {"experiment": "sgd", "metric": "Loss/train", "x": "time"}
    curve = api.get("/v1/curves", params=query).json()["curves"][0]
    assert curve["times"] == [1.7e9 + step for step in range(51)]
    assert curve["values"][:50] == pytest.approx([math.exp(-0.01 * step) for step in range(50)])
    assert curve["non_finite"][0]["value"] == "NaN"


def test_importing_again_changes_nothing_and_what_was_logged_since_is_added(
    at_home: Marina, api: httpx.Client, logs: Path
) -> None:
    at_home("import", logs)
    before = shown(api, "sgd"), shown(api, "adam-lr-0-1")
    assert at_home("import", logs).out == "0 imported, 2 unchanged, 0 rejected\n"
    assert (shown(api, "sgd"), shown(api, "adam-lr-0-1")) == before
    with writer(logs / "sgd", filename_suffix=".later") as log:
        log.add_scalar("accuracy", 0.999, 50)
    assert at_home("import", logs).out == "1 imported, 1 unchanged, 0 rejected\n"
    assert shown(api, "sgd")["metrics"]["accuracy"]["best"] == 0.999
    assert shown(api, "adam-lr-0-1") == before[1]


def test_a_dry_run_stores_nothing(at_home: Marina, api: httpx.Client, logs: Path) -> None:
    assert at_home("import", logs, "--dry-run").out.startswith("2 imported, 0 unchanged, 0 rejected (dry run")
    assert api.get("/v1/experiments").json()["items"] == []


def test_one_file_is_a_run_named_by_its_folder(at_home: Marina, api: httpx.Client, logs: Path) -> None:
    file = next((logs / "Adam lr=0.1").iterdir())
    report = at_home("import", file, "--json").json
    assert (report["experiments"], report["problems"]) == (["adam-lr-0-1"], [])


@pytest.mark.parametrize("harm", ["cut", "changed", "empty", "no event file"])
def test_of_a_broken_file_what_was_readable_is_there_and_it_is_said(
    at_home: Marina, api: httpx.Client, logs: Path, harm: str
) -> None:
    file = next((logs / "Adam lr=0.1").iterdir())
    content = file.read_bytes()
    middle = len(content) // 2
    file.write_bytes(
        {
            "cut": content[:middle],
            "changed": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "empty": b"",
            "no event file": b"PK\x03\x04 and nothing that TensorBoard would have written",
        }[harm]
    )
    said = at_home("import", logs)
    assert "Adam lr=0.1: " in said.out, said
    if harm in ("cut", "changed"):
        assert said.out.startswith("2 imported, 0 unchanged, 0 rejected\n")
        assert "is broken after" in said.out
        assert 10 < shown(api, "adam-lr-0-1")["metrics"]["accuracy"]["points"] < 50
    else:
        assert (said.code, said.out.splitlines()[0]) == (1, "1 imported, 0 unchanged, 1 rejected")
    assert shown(api, "sgd")["metrics"]["accuracy"]["points"] == 50


def test_an_experiment_of_another_origin_is_left_alone(
    at_home: Marina, api: httpx.Client, logs: Path
) -> None:
    api.post("/v1/experiments", json={"name": "sgd"}).raise_for_status()
    before = shown(api, "sgd")
    said = at_home("import", logs)
    assert (said.code, said.out.splitlines()[0]) == (1, "1 imported, 0 unchanged, 1 rejected")
    assert "rename the folder" in said.out
    assert shown(api, "sgd") == before


def test_a_folder_without_event_files_says_what_to_do(at_home: Marina, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    at_home("import", tmp_path / "none").failed(2, "no event files")


def test_an_event_file_in_place_of_a_csv_is_told_the_way(api: httpx.Client, logs: Path) -> None:
    answer = api.post("/v1/imports", content=next((logs / "sgd").iterdir()).read_bytes())
    assert (answer.status_code, answer.json()["error"]) == (400, "event_file")
    assert "marina import FOLDER" in answer.json()["detail"]


def test_long_names_that_begin_alike_stay_apart(tmp_path: Path, at_home: Marina, api: httpx.Client) -> None:
    for number in range(2):
        with writer(tmp_path / "logs" / ("long-" * 12) / str(number)) as log:
            log.add_scalar("loss", number, 1)
    first = at_home("import", tmp_path / "logs", "--json").json["experiments"]
    assert len(set(first)) == 2
    assert at_home("import", tmp_path / "logs").out.startswith("0 imported, 2 unchanged")


def test_the_reader_keeps_the_order_of_files_so_that_later_values_count(logs: Path) -> None:
    run = next(one for one in runs(logs) if one.name == "sgd")
    assert [point.step for point in run.points if point.metric == "accuracy"] == list(range(50))
    assert not run.faults
