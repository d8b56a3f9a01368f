"""Where a command goes and with which token: never with one that is meant for another server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from marina.connection import find
from marina.errors import WrongUse
from tests.marina.conftest import Marina
from tests.metadata_api.auth.conftest import ADMIN, issue
from tests.ports import free_port


def environment(home: Path, **more: str) -> dict[str, str]:
    """The variables that are looked at."""
    return {"MARINA_HOME": str(home), **more}


class TestFind:
    def test_the_data_folder_has_address_and_token(self, home: Path) -> None:
        found = find(None, None, environment(home))
        assert found.token == ADMIN
        assert found.url == json.loads((home / "run" / "launcher.lock").read_text())["api"]

    def test_its_token_goes_to_no_other_server(self, home: Path) -> None:
        found = find("https://marina.example", None, environment(home))
        assert (found.url, found.token) == ("https://marina.example", None)
        assert find(None, None, environment(home, MARINA_URL="http://127.0.0.1:9")).token is None

    def test_a_token_of_the_user_is_taken_first(self, home: Path, tmp_path: Path) -> None:
        (tmp_path / "mine").write_text("from-file\n")
        assert find(None, None, environment(home, MARINA_TOKEN="mine")).token == "mine"
        assert find(None, tmp_path / "mine", environment(home, MARINA_TOKEN="mine")).token == "from-file"

    def test_a_slash_at_the_end_makes_no_difference(self, home: Path) -> None:
        assert find("http://marina.example/v1/", None, environment(home)).url == "http://marina.example"

    def test_a_system_that_never_ran_is_where_it_usually_is(self, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        assert find(None, None, environment(tmp_path)).url == "http://127.0.0.1:8000"
        assert find(None, None, environment(tmp_path, MARINA_API_PORT="8001")).url == "http://127.0.0.1:8001"

    @pytest.mark.parametrize(
        "url", ["marina.example", "ftp://marina.example", "http://", "http://[", "http://a:0"]
    )
    def test_what_is_no_address(self, url: str, tmp_path: Path) -> None:
        with pytest.raises(WrongUse, match="is no address"):
            find(url, None, environment(tmp_path))

    @pytest.mark.parametrize("token", ["mürn", "a\nb", "a b"])
    def test_what_is_no_token(self, token: str, home: Path) -> None:
        with pytest.raises(WrongUse, match="MARINA_TOKEN has characters"):
            find(None, None, environment(home, MARINA_TOKEN=token))

    def test_nothing_is_known(self, tmp_path: Path) -> None:
        with pytest.raises(WrongUse, match="set MARINA_URL"):
            find(None, None, environment(tmp_path))


class TestErrors:
    """One line that says what to do, an exit code, and never a traceback."""

    def test_nothing_is_known(self, marina: Marina) -> None:
        marina("status").failed(2, "MARINA_URL", "make up")

    def test_nobody_answers(self, marina: Marina) -> None:
        marina("--url", f"http://127.0.0.1:{free_port()}", "status").failed(1, "does not answer")

    def test_a_name_that_is_not_known(self, marina: Marina) -> None:
        marina("--url", "http://marina.invalid", "status").failed(1, "does not answer", "MARINA_URL")

    def test_a_token_that_is_not_known(self, at_home: Marina, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MARINA_TOKEN", f"mrn_ffffffffffff_{'x' * 43}")
        at_home("status").failed(1, "unknown or was revoked", "MARINA_TOKEN")

    def test_a_role_that_may_not(
        self, at_home: Marina, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MARINA_TOKEN", issue(api, "viewer"))
        assert at_home("status").code == 0
        at_home("rollback", "digits").failed(1, "deployer")

    @pytest.mark.parametrize(
        "arguments",
        [
            ("dance",),
            ("push",),
            ("push", "nothing.mar"),
            ("deploy", "UPPER"),
            ("status", "../tokens"),
            ("deploy", "digits", "--version", "none"),
            ("ask", "--tensors", "nothing.json"),
            ("--token-file", "/nothing", "status"),
        ],
    )
    def test_what_is_typed_wrongly(self, at_home: Marina, arguments: tuple[str, ...]) -> None:
        at_home(*arguments).failed(2)

    @pytest.mark.parametrize("page", ["page", "redirect", "list", "nothing"])
    def test_a_server_that_is_no_marina(self, marina: Marina, other_server: str, page: str) -> None:
        marina("--url", f"{other_server}/{page}", "status").failed(1, "MARINA_URL")

    def test_help_is_no_error(self, marina: Marina) -> None:
        said = marina()
        assert said.code in (0, 2)
        assert "deploy" in said.out + said.err
        assert marina("deploy", "--help").code == 0


@pytest.fixture
def other_server() -> Iterator[str]:
    """A web server that knows nothing of Marina."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = self.path.split("/")[1]
            self.send_response({"redirect": 302, "nothing": 502}.get(page, 200))
            self.send_header("location", "/login")
            body = {"page": b"<html>", "list": b"[1]"}.get(page, b"")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class TestProgram:
    """The installed program itself."""

    def run(self, home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run `marina` as a shell would."""
        program = Path(sys.executable).parent / "marina"
        variables = {**os.environ, "MARINA_HOME": str(home), **more}
        return subprocess.run(
            [program, *arguments], env=variables, capture_output=True, text=True, timeout=60, check=False
        )

    def test_it_is_installed_and_finds_this_machines_system(self, home: Path) -> None:
        done = self.run(home, "status", "--json")
        assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, [], "")

    def test_the_shell_completes_names(self, home: Path, api: httpx.Client) -> None:
        api.post("/v1/experiments", json={"name": "digits-of-mine"})
        done = self.run(
            home, _MARINA_COMPLETE="complete_bash", COMP_WORDS="marina deploy dig", COMP_CWORD="2"
        )
        assert done.stdout.strip() == "digits-of-mine"

    def test_a_reader_that_has_seen_enough_gets_no_traceback(self, home: Path) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            done = subprocess.run(
                [Path(sys.executable).parent / "marina", "status", "--json"],
                env={**os.environ, "MARINA_HOME": str(home)},
                stdout=writer,
                stderr=subprocess.PIPE,
                timeout=60,
                check=False,
            )
        finally:
            os.close(writer)
        assert (done.returncode, done.stderr) == (1, b"")
