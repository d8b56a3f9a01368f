"""`marina label`: many inputs at once from a folder or a CSV, each wrong one named, and how far a task is."""

from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, text

from marina import label_command
from marina.errors import WrongUse
from tests.marina.conftest import Marina
from tests.metadata_api.making import make_deployment, make_image
from tests.metadata_api.servers import V2Server, answers
from tests.waiting import until


@pytest.fixture
def digits(at_home: Marina, api: httpx.Client, engine: Engine, serving: V2Server) -> Marina:
    """A deployment of the task digits that says 5; the command line before it."""
    make_deployment(engine, "old")
    serving.models["old"] = answers("5")
    with engine.begin() as connection:
        connection.execute(text("update model_versions set task = 'digits'"))
    until(lambda: bool(api.get("/v1/deployments/old").json()["ready"]), "old is ready")
    return at_home


def stored(api: httpx.Client, shade: int) -> str:
    """An image that was asked about; its sha256."""
    files = {"image": ("image.png", make_image(shade), "image/png")}
    answer = api.post("/v1/predictions", files=files, data={"deployments": "old"})
    return str(answer.raise_for_status().json()["input"]["sha256"])


def labels(api: httpx.Client, sha256: str) -> list[tuple[str, str]]:
    items = api.get(f"/v1/inputs/{sha256}/labels").raise_for_status().json()["items"]
    return [(one["label"], one["note"]) for one in items]


def test_a_folder_of_folders_is_asked_about_and_labelled(
    digits: Marina, api: httpx.Client, tmp_path: Path
) -> None:
    for label, shade in (("5", 10), ("5", 20), ("3", 30)):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{shade}.png").write_bytes(make_image(shade))
    (tmp_path / "ten").mkdir()
    (tmp_path / "ten" / "a.png").write_bytes(make_image(40))
    (tmp_path / "3" / "broken.png").write_bytes(b"nothing")
    said = digits("label", "digits", tmp_path)
    said.failed(1, "2 of 5 inputs were not labelled")
    lines = said.out.splitlines()
    assert lines[0].startswith("3/broken.png: ")
    assert lines[1] == "ten/a.png: 'ten' is no class of the task"
    assert lines[2] == "3 labelled, 2 rejected"
    assert lines[3] == "digits: 3 inputs have a label, 0 are open; models differ on 0 of these"
    assert labels(api, stored(api, 30)) == [("3", "")]
    scores = api.get("/v1/scores", params={"deployment": "old"}).json()
    assert "0.66" in str(scores)


def test_a_class_is_known_however_its_accents_are_written() -> None:
    takes = {"fields": ["label"], "labels": ["caf\u00e9", "tea"]}
    for typed in ("caf\u00e9", "cafe\u0301"):
        assert label_command._answer(typed, takes) == {"label": "caf\u00e9"}
    with pytest.raises(WrongUse):
        label_command._answer("cafe", takes)


def test_a_table_names_inputs_or_files_beside_it(digits: Marina, api: httpx.Client, tmp_path: Path) -> None:
    sha256 = stored(api, 10)
    (tmp_path / "b.png").write_bytes(make_image(20))
    table = tmp_path / "labels.csv"
    rows = (f"{sha256},,5,clear", ",b.png,3,", ",,5,", "abc,,5,", f"{sha256},,,", f"{'0' * 64},,5,")
    table.write_text("sha256,file,label,note\n" + "\n".join(rows) + "\n")
    checked = digits("label", "digits", table, "--dry-run")
    assert "3 labelled, 3 rejected (dry run: nothing was sent)" in checked.out
    assert labels(api, sha256) == []
    said = digits("label", "digits", table, "--json")
    said.failed(1, "4 of 6")
    assert (said.json["labelled"], said.json["queue"]["labelled"]) == (2, 2)
    assert [one["input"] for one in said.json["problems"]] == ["line 4", "line 5", "line 6", "line 7"]
    assert labels(api, sha256) == [("5", "clear")]
    again = digits("label", "digits", table)
    assert "2 labelled, 4 rejected" in again.out
    assert labels(api, sha256) == [("5", "clear")]


def test_without_a_path_it_shows_how_far_a_task_is(digits: Marina, api: httpx.Client) -> None:
    stored(api, 10)
    assert digits("label", "digits").out == (
        "digits: 0 inputs have a label, 1 are open; models differ on 0 of these\n"
    )
    digits("label", "digit").failed(1, "Tasks are digits")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("sha256,colour\n", "sha256 or file, and label"),
        ("label\n5\n", "sha256 or file, and label"),
        ("sha256,label\n", "nothing to label"),
        ('sha256,label\n"abc', "is no CSV"),
        ("", "empty"),
    ],
)
def test_what_is_no_table_of_labels_is_told(digits: Marina, tmp_path: Path, content: str, words: str) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(content)
    digits("label", "digits", table).failed(2, words)
    (tmp_path / "empty").mkdir()
    digits("label", "digits", tmp_path / "empty").failed(2, "nothing to label")
