"""Locks: everything is pinned with hashes, the same everywhere, and tells nothing about who made it."""

import hashlib
import importlib.util
import json
import re
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = sorted(ROOT.glob("serving/environments/*/requirements.lock"))
LOCKS = sorted(
    [*ROOT.glob("*/*.lock"), *ROOT.glob("[km]*/*/*.lock"), *ROOT.glob(".ci/*.lock"), *ENVIRONMENTS]
)
PARTS = ("serving", "metadata-api", "ui", "models", "models/marina")
RUNTIME = [ROOT / part / "requirements.lock" for part in PARTS]


def entries(lock: Path) -> list[str]:
    """The requirements in a lock, each with its hashes."""
    lines = [
        line for line in lock.read_text().splitlines() if line.strip() and not line.strip().startswith("#")
    ]
    return [entry for entry in re.split(r"\n(?=\S)", "\n".join(lines)) if entry]


def name_of(path: Path) -> str:
    """A test's name for a lock."""
    return str(path.relative_to(ROOT))


def test_every_component_has_one() -> None:
    names = {name_of(path) for path in LOCKS}
    assert names >= {f"{part}/requirements.lock" for part in (*PARTS, "tests")}


@pytest.mark.parametrize("lock", LOCKS, ids=name_of)
class TestEveryLock:
    def test_every_entry_is_pinned_and_hashed(self, lock: Path) -> None:
        for entry in entries(lock):
            assert re.match(r"[a-z0-9][a-z0-9._-]*==[^ ]+", entry), entry
            assert "--hash=sha256:" in entry, entry

    def test_no_address_and_no_path_is_in_it(self, lock: Path) -> None:
        text = lock.read_text()
        for pattern in (r"--(extra-)?index", "--find-links", "https?://", "file:", r"(^|\s)/[a-z]", "@ "):
            assert not re.search(pattern, text, re.M), pattern


def test_one_version_of_each_package_in_all_locks() -> None:
    found: dict[str, set[tuple[str, ...]]] = {}
    for lock in (*RUNTIME, ROOT / "tests" / "requirements.lock"):
        versions: dict[str, list[str]] = {}
        for entry in entries(lock):
            name, version = re.match(r"([^=]+)==([^ ]+)", entry).groups()  # type: ignore[union-attr]
            versions.setdefault(name, []).append(version)
        for name, many in versions.items():
            found.setdefault(name, set()).add(tuple(sorted(many)))
    assert {name: versions for name, versions in found.items() if len(versions) > 1} == {}


def test_torch_is_only_in_its_own_locks() -> None:
    for lock in RUNTIME:
        assert not re.search(r"^(torch|triton|nvidia-.*|cuda-.*)==", lock.read_text(), re.M), lock


@pytest.mark.parametrize("lock", ENVIRONMENTS, ids=lambda lock: lock.parent.name)
class TestEnvironments:
    def test_nothing_that_is_shared_is_locked_again(self, lock: Path) -> None:
        shared = {entry.partition("==")[0] for entry in entries(RUNTIME[0])} | {"torch"}
        own = {entry.partition("==")[0] for entry in entries(lock)}
        assert own
        assert not {name for name in own if name in shared or name.startswith(("nvidia-", "cuda-", "triton"))}

    def test_what_it_has_is_described_from_this_lock(self, lock: Path) -> None:
        described = json.loads((lock.parent / "environment.json").read_text())
        digest = hashlib.sha256(lock.read_bytes()).hexdigest()
        assert described["lock"] == digest, f"run: make environment NAME={lock.parent.name}"
        assert described["imports"]


def test_what_the_base_environment_has_is_described_from_the_locks_of_serving() -> None:
    described = json.loads((ROOT / "serving/environments/base/environment.json").read_text())
    locks = [ROOT / "serving" / name for name in ("requirements.lock", "torch.lock")]
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()
    assert described["lock"] == digest, "run: make environment NAME=base"
    assert {"torch", "numpy", "PIL", "ts", "serving_runtime"} <= set(described["imports"])


def test_what_torch_needs_besides_itself_is_locked() -> None:
    serving = (ROOT / "serving" / "requirements.lock").read_text()
    for name in ("filelock", "fsspec", "jinja2", "networkx", "sympy", "typing-extensions"):
        assert re.search(rf"^{name}==", serving, re.M), name


def test_one_version_of_torch_everywhere() -> None:
    project = tomllib.loads((ROOT / "serving" / "pyproject.toml").read_text())
    pinned = next(w for w in project["project"]["optional-dependencies"]["torch"] if w.startswith("torch=="))
    assert entries(ROOT / "serving" / "torch.lock")[0].startswith(f"{pinned} ")
    assert entries(ROOT / "serving" / "torch-cpu.lock")[0].startswith(f"{pinned}+cpu ")


class TestTorchSource:
    """The order: a wheel that is offered here, PyTorch's CPU index, the package index."""

    @pytest.fixture
    def source(self) -> ModuleType:
        """serving/torch_source.py, which is a script and belongs to no package."""
        spec = importlib.util.spec_from_file_location("torch_source", ROOT / "serving" / "torch_source.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules["torch_source"] = module
        spec.loader.exec_module(module)
        return module

    @pytest.fixture
    def wheel(self, source: ModuleType) -> str:
        """The name of the wheel that fits this Python."""
        python = f"cp{sys.version_info.major}{sys.version_info.minor}"
        machine = source.platform.machine()
        return f"torch-{source.locked_version()}+cpu-{python}-{python}-manylinux_2_28_{machine}.whl"

    def test_a_fitting_wheel_comes_first(self, source: ModuleType, wheel: str, tmp_path: Path) -> None:
        (tmp_path / wheel).touch()
        environment = {"PIP_FIND_LINKS": f"/nowhere {tmp_path}"}
        found = source.choose(environment, probe=lambda _: pytest.fail("no need to ask an index"))
        assert found.options == ("--no-index", "--find-links", str(tmp_path))
        assert found.locks == ("torch-cpu.lock",)
        assert wheel in found.line

    def test_uvs_own_variable_counts_too(self, source: ModuleType, wheel: str, tmp_path: Path) -> None:
        (tmp_path / wheel).touch()
        found = source.choose({"UV_FIND_LINKS": f"/nowhere,{tmp_path.as_uri()}"}, probe=lambda _: False)
        assert "--find-links" in found.options

    @pytest.mark.parametrize(
        ("part", "other"),
        [
            ("-cp3", "-cp2"),
            ("manylinux", "macosx"),
            ("+cpu", "+cu130"),
            ("torch-", "torchx-"),
            ("torch-2", "torch-1"),
        ],
    )
    def test_a_wheel_that_does_not_fit_is_passed_over(
        self, source: ModuleType, wheel: str, tmp_path: Path, part: str, other: str
    ) -> None:
        (tmp_path / wheel.replace(part, other)).touch()
        found = source.choose({"PIP_FIND_LINKS": str(tmp_path)}, probe=lambda _: True)
        assert "--find-links" not in found.options

    def test_the_cpu_index_comes_second(self, source: ModuleType) -> None:
        found = source.choose({}, probe=lambda url: url == f"{source.CPU_INDEX}/torch/")
        assert found.options == ("--default-index", source.CPU_INDEX)
        assert found.locks == ("torch-cpu.lock",)

    def test_the_package_index_comes_last_and_says_that_it_is_large(self, source: ModuleType) -> None:
        found = source.choose({"PIP_FIND_LINKS": ""}, probe=lambda _: False)
        assert found.options == ()
        assert found.locks == ("torch.lock", "torch-cuda.lock")
        assert "larger build" in found.line
        assert "\n" not in found.line

    def test_every_source_requires_hashes(self, source: ModuleType) -> None:
        for answer in (True, False):
            arguments = source.choose({}, probe=lambda _, answer=answer: answer).arguments()
            assert {"--require-hashes", "--no-deps"} <= set(arguments)

    def test_an_index_that_does_not_answer_is_given_up(
        self, source: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(source, "ANSWER_SECONDS", 0.3)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            begin = time.monotonic()
            assert not source.answers(f"http://127.0.0.1:{silent.getsockname()[1]}/torch/")
            assert time.monotonic() - begin < 2

    def test_the_choice_is_printed_in_one_line(self) -> None:
        command = [sys.executable, str(ROOT / "serving" / "torch_source.py"), "--print"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        assert result.stderr.count("\n") == 1
        assert "--require-hashes" in result.stdout
