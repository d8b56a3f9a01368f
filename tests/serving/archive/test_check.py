"""What is said of archives before anybody uploads them: would they run here, and if not, what to do."""

import ast
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from serving_runtime.archive import check, mar, syntax
from serving_runtime.environments import Environment

BASE = Environment("base", frozenset({"torch", "numpy", "ts"}), {"torch": "2.13.0"})
VISION = Environment(
    "vision", frozenset({"torch", "numpy", "ts", "torchvision", "captum"}), {"torch": "2.13.0", "captum": "1"}
)
HERE = {"base": BASE}
CUSTOM = """
import torch
class Mine:
    def initialize(self, context): pass
    def handle(self, data, context): pass
"""
DERIVED = "from ts.torch_handler.base_handler import BaseHandler\nclass Mine(BaseHandler): pass\n"
NETWORK = b"import torch\nclass Net(torch.nn.Linear): pass\n"


def saved(save: Callable[[Any, Any], None], what: Any) -> bytes:
    buffer = io.BytesIO()
    save(what, buffer)
    return buffer.getvalue()


MODEL = torch.nn.Sequential(torch.nn.Linear(3, 2))
STATE = saved(torch.save, MODEL.state_dict())
PICKLE = saved(torch.save, MODEL)
LEGACY = saved(lambda what, to: torch.save(what, to, _use_new_zipfile_serialization=False), MODEL)
SCRIPT = saved(lambda what, to: torch.jit.save(torch.jit.trace(what, torch.zeros(1, 3)), to), MODEL)


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., check.Finding]:
    """The finding about an archive of these files; `model` are further keys of its manifest."""

    def of(
        handler: str, files: Mapping[str, bytes], built: Mapping[str, Environment] = HERE, **model: str
    ) -> check.Finding:
        path = tmp_path / "theirs.mar"
        manifest = {"runtime": "python", "model": {"modelName": "theirs", "handler": handler, **model}}
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
            for name, content in files.items():
                archive.writestr(name, content)
        return check.check(path, built, {"base": BASE, "vision": VISION})

    return of


class TestWhatRuns:
    def test_is_what_its_environment_has(self, found: Callable[..., check.Finding]) -> None:
        finding = found("mine.py", {"mine.py": CUSTOM.encode()})
        assert (finding.outcome, finding.environment) == ("runs", "base")

    def test_may_need_an_environment_that_is_not_built(self, found: Callable[..., check.Finding]) -> None:
        archive = {"model.pt": SCRIPT}
        finding = found("image_classifier", archive, serializedFile="model.pt")
        assert (finding.outcome, finding.environment) == ("environment", "vision")
        assert "make environment NAME=vision" in finding.text
        finding = found("image_classifier", archive, {**HERE, "vision": VISION}, serializedFile="model.pt")
        assert (finding.outcome, finding.environment) == ("runs", "vision")

    def test_may_need_what_no_environment_has(self, found: Callable[..., check.Finding]) -> None:
        finding = found("mine.py", {"mine.py": f"import soundfile\n{CUSTOM}".encode()})
        assert (finding.outcome, finding.environment) == ("environment", None)
        assert "soundfile" in finding.text

    @pytest.mark.parametrize(
        ("weights", "model"),
        [
            (SCRIPT, {"serializedFile": "model.pt"}),
            (STATE, {"serializedFile": "model.pth", "modelFile": "net.py"}),
        ],
    )
    def test_are_weights_as_torchserve_loads_them(
        self, weights: bytes, model: dict[str, str], found: Callable[..., check.Finding]
    ) -> None:
        files = {"mine.py": DERIVED.encode(), "net.py": NETWORK, model["serializedFile"]: weights}
        assert found("mine.py", files, **model).outcome == "runs"

    def test_is_told_what_differs(self, found: Callable[..., check.Finding]) -> None:
        source = CUSTOM.replace("pass\n", "torch.load('weights.pth')\n", 1)
        files = {"mine.py": source.encode(), "config.yaml": b"minWorkers: 4"}
        notes = found("mine.py", files, configFile="config.yaml").notes
        assert any("minWorkers" in note for note in notes)
        assert any("weights_only" in note for note in notes)


class TestWhatFails:
    @pytest.mark.parametrize("weights", [PICKLE, LEGACY])
    def test_a_pickled_model_is_named_with_its_classes(
        self, weights: bytes, found: Callable[..., check.Finding]
    ) -> None:
        files = {"mine.py": DERIVED.encode(), "net.py": NETWORK, "model.pth": weights}
        finding = found("mine.py", files, serializedFile="model.pth", modelFile="net.py")
        assert finding.outcome == "fails"
        assert "torch.nn.modules.container.Sequential" in finding.text
        assert "state_dict" in finding.text

    @pytest.mark.parametrize(
        ("weights", "name", "said"),
        [
            (STATE, "model.pt", "--model-file"),
            (STATE, "model.bin", "--model-file"),
            (b"\x7fELF", "model.pt2", "torch.export.save"),
        ],
    )
    def test_weights_that_basehandler_does_not_load(
        self, weights: bytes, name: str, said: str, found: Callable[..., check.Finding]
    ) -> None:
        finding = found("mine.py", {"mine.py": DERIVED.encode(), name: weights}, serializedFile=name)
        assert (finding.outcome, said in finding.text) == ("fails", True)

    def test_whoever_loads_for_himself_is_believed(self, found: Callable[..., check.Finding]) -> None:
        own = DERIVED.replace("pass", "\n    def initialize(self, context): self.model = None")
        files = {"mine.py": own.encode(), "model.bin": b"anything"}
        assert found("mine.py", files, serializedFile="model.bin").outcome == "runs"

    @pytest.mark.parametrize(
        ("source", "said"),
        [
            (CUSTOM.replace("def handle", "async def handle"), "async def"),
            (f"{CUSTOM}class Other: pass\n", "2 classes"),
            (f"from ts.handler_utils.utils import send_intermediate_predict_response\n{CUSTOM}", "streamed"),
            ("class (", "line 1 is no Python"),
        ],
    )
    def test_handlers_that_are_not_loaded(
        self, source: str, said: str, found: Callable[..., check.Finding]
    ) -> None:
        finding = found("mine.py", {"mine.py": source.encode()})
        assert (finding.outcome, said in finding.text) == ("fails", True)


class TestDamaged:
    @pytest.mark.parametrize("cut", range(60, 900, 60))
    def test_weights_are_no_end_of_the_check(self, cut: int, found: Callable[..., check.Finding]) -> None:
        broken = SCRIPT[:cut] + bytes(40) + SCRIPT[cut + 40 :]
        files = {"mine.py": DERIVED.encode(), "model.pt": broken}
        assert found("mine.py", files, serializedFile="model.pt").outcome in ("runs", "fails", "rejected")

    def test_a_handler_that_would_be_a_huge_tree_is_not_parsed(
        self, found: Callable[..., check.Finding], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        long = CUSTOM + "x=1\n" * (syntax.MOST_TOKENS // 3 + 1)
        monkeypatch.setattr(ast, "parse", lambda *_: pytest.fail("it was parsed"))
        assert found("mine.py", {"mine.py": long.encode()}).outcome == "runs"

    def test_an_archive_that_no_reader_expects_is_reported_and_the_next_is_checked(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("a.mar", "b.mar"):
            (tmp_path / name).write_bytes(b"no archive")

        def unreadable(path: Path) -> mar.MarInfo:
            raise KeyError(path.name) if path.name == "a.mar" else mar.MarError("not_a_zip", "no zip")

        monkeypatch.setattr(mar, "inspect", unreadable)
        assert check.main([str(tmp_path)]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[:2] for line in lines[:2]] == [["REJECTED", "a.mar:"], ["REJECTED", "b.mar:"]]


class TestCommand:
    def test_says_one_line_for_each_archive_of_a_folder_and_how_many(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "team").mkdir()
        files: dict[str, bytes | Path] = {"mine.py": CUSTOM.encode()}
        mar.build(tmp_path / "team" / "a.mar", name="a", handler="mine.py", serialized_file=None, files=files)
        assert check.main([str(tmp_path)]) == 0
        printed = capsys.readouterr().out
        assert "RUNS        a.mar: in the environment base" in printed
        assert printed.splitlines()[-1] == "1 archive: 1 runs as it is"
        (tmp_path / "b.mar").write_bytes(b"no archive")
        assert check.main([str(tmp_path)]) == 1
        printed = capsys.readouterr().out
        assert printed.splitlines()[-1].startswith("2 archives: ")
        assert "REJECTED    b.mar: not_a_zip: " in printed
        assert "2 archives: 1 runs as it is; 1 would be rejected when it is uploaded" in printed
        check.main([str(tmp_path), "--json"])
        assert [json.loads(line)["outcome"] for line in capsys.readouterr().out.splitlines()] == [
            "rejected",
            "runs",
        ]
