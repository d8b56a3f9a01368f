"""Every command against the real API: what it does, what it prints, and what its exit code says."""

import json
import zipfile
from pathlib import Path

import httpx
import pytest

from marina import following
from tests.marina.conftest import Marina
from tests.metadata_api.making import make_image, make_mar
from tests.metadata_api.servers import Front, V2Server, answers, rejects, says

WINE = """
name: wine
inputs:
- name: row
  datatype: FP32
  shape: [-1, 2]
  kind: table
  columns: [{name: alcohol}, {name: color, categories: [red, white]}]
outputs: [{name: quality, datatype: FP32, shape: [-1], kind: number, unit: points}]
"""

PETS = """
name: pets
task: pets
inputs: [{name: image, datatype: BYTES, shape: [-1], kind: image}]
outputs: [{name: pet, datatype: BYTES, shape: [-1], kind: label}]
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A real archive of a model called `digits`."""
    path = tmp_path / "digits.mar"
    path.write_bytes(make_mar(tmp_path))
    return path


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """Another archive of the same model."""
    path = tmp_path / "second.mar"
    path.write_bytes(make_mar(tmp_path, salt="second"))
    return path


@pytest.fixture
def served(at_home: Marina, archive: Path, second: Path) -> None:
    """Both versions of `digits`, the second in place of the first."""
    for file in (archive, second):
        assert at_home("push", file).code == 0
        assert at_home("deploy", "digits", "--wait").code == 0


class TestPush:
    def test_a_first_archive_becomes_an_experiment_with_a_version(
        self, at_home: Marina, api: httpx.Client, archive: Path
    ) -> None:
        said = at_home("push", archive)
        assert said.out.splitlines() == ["digits version 1 is stored", "next: marina deploy digits --wait"]
        assert api.get("/v1/experiments/digits").json()["latest_version"] == 1

    def test_the_same_bytes_again_are_the_same_version(self, at_home: Marina, archive: Path) -> None:
        at_home("push", archive)
        assert at_home("push", archive).out.startswith("digits version 1 has these bytes already\n")

    def test_the_experiment_may_be_named(self, at_home: Marina, archive: Path) -> None:
        found = at_home("push", archive, "--experiment", "mine", "--json").json
        assert (found["experiment"], found["version"]) == ("mine", 1)

    def test_what_the_api_rejects_is_said_in_its_words_and_leaves_nothing(
        self, at_home: Marina, api: httpx.Client, tmp_path: Path
    ) -> None:
        hostile = tmp_path / "hostile.mar"
        with zipfile.ZipFile(hostile, "w") as archive:
            model = {"modelName": "digits", "handler": "handler.py"}
            archive.writestr("MAR-INF/MANIFEST.json", json.dumps({"runtime": "python", "model": model}))
            archive.writestr("../handler.py", "class Handler: ...")
        at_home("push", hostile).failed(1, "../handler.py")
        assert api.get("/v1/experiments/digits").status_code == 404

    @pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06" + bytes(18)])
    def test_a_file_that_is_no_archive_is_not_sent(
        self, at_home: Marina, api: httpx.Client, tmp_path: Path, content: bytes
    ) -> None:
        (tmp_path / "other.mar").write_bytes(content)
        at_home("push", tmp_path / "other.mar").failed(2, "is no .mar archive", "marina pack")
        assert api.get("/v1/experiments").json()["total"] == 0


class TestDeploy:
    def test_it_returns_when_the_version_answers(self, at_home: Marina, archive: Path) -> None:
        at_home("push", archive)
        said = at_home("deploy", "digits", "--wait")
        assert said.code == 0
        assert said.out.startswith("digits version 1 answers: http")

    def test_another_version_takes_the_place_of_the_first(
        self, at_home: Marina, api: httpx.Client, served: None
    ) -> None:
        found = api.get("/v1/deployments/digits").json()
        assert (found["version"], found["previous_version"], found["ready"]) == (2, 1, True)

    def test_a_stopped_one_starts_again(self, at_home: Marina, api: httpx.Client, served: None) -> None:
        api.post("/v1/deployments/digits/stop")
        assert at_home("deploy", "digits", "--version", 1, "--wait").code == 0
        found = api.get("/v1/deployments/digits").json()
        assert (found["desired"], found["version"]) == ("running", 1)

    def test_runtime_and_resources_are_passed_on(self, at_home: Marina, archive: Path) -> None:
        at_home("push", archive)
        options = ("--name", "other", "--runtime", "native", "--cpu", "500m", "--memory", "1Gi")
        found = at_home("deploy", "digits", *options, "--json").json
        assert (found["name"], found["runtime"]) == ("other", "native")
        assert found["resources"] == {"cpu": "500m", "memory": "1Gi"}

    def test_one_that_fails_is_said_with_the_reason_and_what_to_look_at(
        self, at_home: Marina, front: Front, archive: Path
    ) -> None:
        at_home("push", archive)
        front.states["digits"] = {"state": "failed", "live_version": None, "reason": "no module named tea"}
        said = at_home("deploy", "digits", "--wait")
        assert said.code == 1
        assert said.err.splitlines()[-1].startswith("marina: digits version 1 failed: no module named tea")
        assert "marina logs digits" in said.err

    def test_the_wait_has_an_end(self, at_home: Marina, front: Front, archive: Path) -> None:
        at_home("push", archive)
        front.states["digits"] = {"state": "starting", "live_version": None}
        said = at_home("deploy", "digits", "--wait", "--timeout", 1)
        assert said.code == 1
        assert "is not ready after 1 s (starting)" in said.err

    def test_the_deployment_of_another_experiment_is_left_alone(
        self, at_home: Marina, served: None, archive: Path
    ) -> None:
        at_home("push", archive, "--experiment", "mine")
        at_home("deploy", "mine", "--name", "digits").failed(2, "digits serves digits", "--name")

    def test_an_unknown_experiment(self, at_home: Marina) -> None:
        at_home("deploy", "nothing").failed(1, "nothing", "marina push FILE.mar --experiment nothing")

    def test_one_without_a_version(self, at_home: Marina, api: httpx.Client) -> None:
        api.post("/v1/experiments", json={"name": "empty"}).raise_for_status()
        at_home("deploy", "empty").failed(
            1, "empty has no version", "marina push FILE.mar --experiment empty"
        )


def test_rollback_serves_what_was_served_before(at_home: Marina, api: httpx.Client, served: None) -> None:
    assert at_home("rollback", "digits", "--wait").out.startswith("digits version 1 answers")
    assert api.get("/v1/deployments/digits").json()["version"] == 1


class TestAsk:
    def test_an_image_is_answered_by_each_deployment(
        self, at_home: Marina, served: None, serving: V2Server, tmp_path: Path
    ) -> None:
        at_home("deploy", "digits", "--name", "other", "--wait")
        serving.models |= {"digits": answers("5", version="2"), "other": answers("3", version="2")}
        (tmp_path / "five.png").write_bytes(make_image())
        said = at_home("ask", tmp_path / "five.png")
        assert said.code == 0
        lines = [line.split() for line in said.out.splitlines()]
        assert lines[1][:4] == ["digits", "2", "5", "91.0%"]
        assert lines[2][:4] == ["other", "2", "3", "91.0%"]
        found = at_home("ask", tmp_path / "five.png", "--deployment", "other", "--json").json
        assert [one["deployment"] for one in found["results"]] == ["other"]

    def test_models_of_two_tasks_are_shown_apart_and_a_warning_once(
        self, at_home: Marina, served: None, serving: V2Server, tmp_path: Path
    ) -> None:
        at_home("deploy", "digits", "--name", "other", "--wait")
        pets = tmp_path / "pets.mar"
        pets.write_bytes(make_mar(tmp_path, card=PETS, salt="pets"))
        at_home("push", pets, "--experiment", "pets")
        at_home("deploy", "pets", "--wait")
        said = answers("5", version="2", warning=("BYTES", ["It is blank."]))
        serving.models |= {"digits": said, "other": said}
        dog = {"name": "pet", "datatype": "BYTES", "shape": [1], "data": ["dog"]}
        serving.models["pets"] = says(
            json.dumps({"model_name": "pets", "model_version": "1", "outputs": [dog]}).encode()
        )
        (tmp_path / "five.png").write_bytes(make_image())
        lines = at_home("ask", tmp_path / "five.png").out.splitlines()
        heads = [at for at, line in enumerate(lines) if line.startswith("== ")]
        assert lines[heads[1]] == "== pets"
        digits, pets_said = lines[: heads[1]], lines[heads[1] :]
        assert "2 of 2 say 5" in digits
        assert [line for line in lines if "blank" in line] == ["warning: It is blank."]
        assert "pets" in pets_said[2]
        assert "dog" in pets_said[2]

    def test_when_none_answers_the_exit_code_says_so(
        self, at_home: Marina, served: None, serving: V2Server, tmp_path: Path
    ) -> None:
        serving.models["digits"] = rejects(500, "it broke", "model_failed")
        (tmp_path / "five.png").write_bytes(make_image())
        said = at_home("ask", tmp_path / "five.png")
        assert "error: " in said.out
        said.failed(1, "no deployment answered")

    def test_a_row_goes_to_who_takes_it_and_the_others_are_named(
        self, at_home: Marina, served: None, serving: V2Server, tmp_path: Path
    ) -> None:
        wine = tmp_path / "wine.mar"
        wine.write_bytes(make_mar(tmp_path, card=WINE, salt="wine"))
        at_home("push", wine, "--experiment", "wine")
        at_home("deploy", "wine", "--wait")
        answer = {"name": "quality", "datatype": "FP32", "shape": [1], "data": [6.5]}
        serving.models["wine"] = says(
            json.dumps({"model_name": "wine", "model_version": "1", "outputs": [answer]}).encode()
        )
        said = at_home("ask", "alcohol=13.2", "color=red")
        assert said.code == 0, said
        assert said.out.splitlines()[1].split()[:4] == ["wine", "1", "6.5", "points"]
        assert "not asked: digits: " in said.out
        at_home("ask", "alcohol=13.2", "colour=red").failed(1, "colour")

    def test_texts_and_tensors_are_sent_as_such(self, at_home: Marina, served: None, tmp_path: Path) -> None:
        at_home("ask", "--text", "Deutschland").failed(1)
        (tmp_path / "x.json").write_text('[{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1]}]')
        found = at_home("ask", tmp_path / "x.json", "--json", "-d", "digits")
        assert found.code == 1
        assert "no deployment" in found.err

    def test_a_file_that_is_no_image_is_said_in_the_apis_words(
        self, at_home: Marina, served: None, tmp_path: Path
    ) -> None:
        (tmp_path / "five.png").write_bytes(b"no image")
        at_home("ask", tmp_path / "five.png").failed(1, "PNG")

    @pytest.mark.parametrize(
        "arguments",
        [(), ("a.png", "--text", "x"), ("--text", "x", "--tensors", "a.json"), ("a=1", "b"), ("a=1", "a=2")],
    )
    def test_what_is_no_single_input_is_not_sent(self, at_home: Marina, arguments: tuple[str, ...]) -> None:
        assert at_home("ask", *arguments).code == 2


class TestStatus:
    def test_all_deployments_are_a_table(self, at_home: Marina, served: None) -> None:
        assert at_home("status").out.splitlines()[1].split() == [
            "digits",
            "digits",
            "2",
            "ready",
            "torchserve",
        ]

    def test_one_is_shown_with_what_happened_to_it(self, at_home: Marina, served: None) -> None:
        said = at_home("status", "digits")
        assert said.code == 0
        assert said.out.startswith("digits: version 2 of digits, ready\n")
        assert "from version 1" in said.out

    def test_one_that_does_not_answer_is_an_exit_code(
        self, at_home: Marina, api: httpx.Client, served: None
    ) -> None:
        api.post("/v1/deployments/digits/stop")
        assert at_home("status", "digits").code == 1
        assert at_home("status").code == 0

    def test_words_of_a_model_do_not_steer_the_terminal(
        self, at_home: Marina, front: Front, archive: Path
    ) -> None:
        at_home("push", archive)
        front.states["digits"] = {
            "state": "failed",
            "live_version": None,
            "reason": "\x1b[2J[bold]gone\nsecond line",
        }
        assert at_home("deploy", "digits", "--wait").code == 1
        said = at_home("status")
        assert "\x1b[2J" not in said.out
        assert "[2J[bold]gone second line" in said.out


def test_logs_are_the_last_lines_of_the_model(
    at_home: Marina, front: Front, served: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = front.models_file.with_name("logs")
    folder.mkdir(exist_ok=True)
    (folder / "digits.log").write_text("first\nsecond \x1b]0;title\x07\n")
    assert at_home("logs", "digits", "--lines", 1).out == "second  ]0;title \n"
    assert at_home("logs", "digits", "--json").json["deployment"] == "digits"


def test_logs_can_be_followed_until_somebody_has_seen_enough(
    at_home: Marina, front: Front, served: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = front.models_file.with_name("logs") / "digits.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text("first\nsecond\nthi")
    later = iter(["rd\nfourth\n", "", "fifth\n"])

    def pause(_: float) -> None:
        with log.open("a") as file:
            for text in later:
                file.write(text)
                return
        raise KeyboardInterrupt

    monkeypatch.setattr("marina.following.time.sleep", pause)
    said = at_home("logs", "digits", "--follow", "--lines", 2)
    assert said.out.splitlines() == ["second", "thi", "third", "fourth", "fifth"]
    assert (said.code, said.err) == (130, "")


def test_what_was_written_faster_than_it_is_read_is_said_to_be_missing() -> None:
    assert following.new_lines(["a", "b"], ["b", "c"]) == ["c"]
    assert following.new_lines(["a", "a"], ["a", "a"]) == []
    assert following.new_lines([], ["a"]) == ["a"]
    assert following.new_lines(["a"], []) == []
    assert following.new_lines(["a", "b"], ["x", "y"]) == [following.GAP, "x", "y"]


class TestImport:
    CSV = 'Experiment Name,Learning Rate,Momentum,Loss\nrun,0.1,0.9,"{""Step"": [0], ""Value"": [1.5]}"\n'

    def test_rows_become_experiments(self, at_home: Marina, api: httpx.Client, tmp_path: Path) -> None:
        (tmp_path / "runs.csv").write_text(self.CSV)
        assert at_home("import", tmp_path / "runs.csv").out == "1 imported, 0 unchanged, 0 rejected\n"
        assert at_home("import", tmp_path / "runs.csv").out == "0 imported, 1 unchanged, 0 rejected\n"
        assert api.get("/v1/experiments").json()["total"] == 1

    def test_rejected_rows_are_listed_and_the_exit_code_says_so(
        self, at_home: Marina, tmp_path: Path
    ) -> None:
        (tmp_path / "runs.csv").write_text(self.CSV + "bad,0.1,0.9,nothing\n")
        said = at_home("import", tmp_path / "runs.csv", "--dry-run")
        assert said.code == 1
        assert said.out.startswith(
            "1 imported, 0 unchanged, 1 rejected (dry run: nothing was stored)\nline 3, "
        )

    def test_a_file_that_is_not_there(self, at_home: Marina, tmp_path: Path) -> None:
        at_home("import", tmp_path / "none.csv").failed(2, "none.csv cannot be read")


def test_the_answer_of_the_api_is_printed_as_json(at_home: Marina, api: httpx.Client, served: None) -> None:
    assert at_home("status", "digits", "--json").json == api.get("/v1/deployments/digits").json()
    assert [one["name"] for one in json.loads(at_home("status", "--json").out)] == ["digits"]


class TestCheck:
    def test_of_a_folder_says_what_would_become_of_each_archive_without_any_marina(
        self, marina: Marina, archive: Path
    ) -> None:
        said = marina("check", archive.parent)
        assert said.code == 0
        assert "digits.mar: in the environment base" in said.out

    def test_of_what_is_not_there_is_wrong_use(self, marina: Marina, tmp_path: Path) -> None:
        assert marina("check", tmp_path / "none").code == 2
