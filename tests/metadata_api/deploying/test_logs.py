"""The last lines of a deployment's log: from the file of the serving process, bounded in lines and bytes."""

from pathlib import Path

import httpx
import pytest

from metadata_api.deploying.logs import MAX_BYTES, last_lines, read_file
from tests.metadata_api.deploying.asking import URL, deploy
from tests.metadata_api.servers import Front


def shown(api: httpx.Client, **query: int) -> list[dict[str, object]]:
    answer = api.get(f"{URL}/digits/logs", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["parts"])


def test_the_last_lines_of_the_file_and_of_the_one_before_it_are_shown(
    api: httpx.Client, front: Front
) -> None:
    deploy(api)
    file = front.models_file.with_name("logs") / "digits.log"
    file.parent.mkdir()
    assert shown(api) == [{"pod": None, "lines": []}]
    file.with_suffix(".log.1").write_text("one\ntwo\n")
    file.write_text("three\nfour <b>\n")
    assert shown(api) == [{"pod": None, "lines": ["one", "two", "three", "four <b>"]}]
    assert shown(api, lines=3) == [{"pod": None, "lines": ["two", "three", "four <b>"]}]


def test_a_deployment_that_is_not_there_is_a_404_and_bounds_are_kept(api: httpx.Client) -> None:
    assert api.get(f"{URL}/digits/logs").json()["error"] == "deployment_unknown"
    for lines in (0, 1001):
        assert api.get(f"{URL}/digits/logs", params={"lines": lines}).status_code == 422


@pytest.mark.parametrize(
    ("text", "count", "lines"),
    [
        (b"", 3, ()),
        (b"a\nb\nc\n", 2, ("b", "c")),
        (b"a\nb\nno end", 2, ("b", "no end")),
        (b"\xff\x00\n", 2, ("\ufffd",)),
    ],
)
def test_whole_lines_are_taken_from_the_end(text: bytes, count: int, lines: tuple[str, ...]) -> None:
    assert last_lines(text, count) == lines


def test_no_more_bytes_are_read_than_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"first\n" + b"x" * (MAX_BYTES - 10) + b"\nlast\n")
    assert read_file(path, 1000) == ("x" * (MAX_BYTES - 10), "last")
    path.write_bytes(b"x" * (2 * MAX_BYTES) + b"\nlast\n")
    assert read_file(path, 1000) == ("last",)
