"""Connections that ignore offers of other protocols and end what waits for nothing, in both copies of the code."""

import asyncio
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import model_ui.bounded_http
import serving_runtime.bounded_http
from tests.asgi import Server
from tests.raw_http import Answer, Line, parsed

BODY = b'{"inputs": [1, 2, 3]}'
CHUNKED = b'9\r\n{"inputs"\r\nc\r\n: [1, 2, 3]}\r\n0\r\n\r\n'
H2C = {
    "connection": "Upgrade, HTTP2-Settings",
    "upgrade": "h2c",
    "http2_settings": "AAMAAABkAAQAoAAAAAIAAAAA",
}
SIZE = {"content_length": str(len(BODY))}
LARGE = 32 * 1024 * 1024


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Says what it got: method, path, headers and body. `/early` answers before the body, `/large` a lot."""
    body = b""
    while scope["path"] != "/early":
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if scope["path"] == "/slow":
        await asyncio.sleep(0.3)
    names = sorted(name.decode() for name, _ in scope["headers"])
    said = {
        "method": scope["method"],
        "path": scope["path"],
        "headers": names,
        "body": body.decode("latin-1"),
    }
    for one in (b"connection", b"host"):
        said[one.decode()] = ", ".join(value.decode() for name, value in scope["headers"] if name == one)
    content = bytes(LARGE) if scope["path"] == "/large" else json.dumps(said).encode()
    headers = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@pytest.fixture(
    params=[serving_runtime.bounded_http, model_ui.bounded_http], ids=["shared", "ui"], scope="module"
)
def code(request: pytest.FixtureRequest) -> ModuleType:
    """The module, and its copy."""
    assert isinstance(request.param, ModuleType)
    return request.param


@pytest.fixture(scope="module")
def url(code: ModuleType) -> Iterator[str]:
    """The server with the loop of its program."""
    loop = "uvloop" if code is serving_runtime.bounded_http else "asyncio"
    options = {"ws": "none", "lifespan": "off", "loop": loop, "timeout_keep_alive": code.KEPT_SECONDS}
    with Server(echo, http=code.BoundedHttpProtocol, **options) as server:
        yield server.url


def told(answer: Answer) -> dict[str, Any]:
    """What the application got."""
    assert answer.status == 200, answer
    found = json.loads(answer.body)
    assert isinstance(found, dict)
    return found


class TestUpgrade:
    """RFC 9110, 7.8: the offer is ignored, the request answered once, and the connection goes on."""

    @pytest.mark.parametrize(
        "offer",
        [
            pytest.param(H2C, id="h2c as JDK HttpClient and curl"),
            pytest.param({"connection": "upgrade", "upgrade": "h2c"}, id="without settings"),
            pytest.param({"upgrade": "H2C", "connection": "keep-alive, UPGRADE"}, id="in capitals"),
            pytest.param({"connection": "Upgrade", "upgrade": "websocket"}, id="websocket"),
            pytest.param({"connection": "Upgrade", "upgrade": "TLS/1.2"}, id="TLS"),
            pytest.param({"connection": "Upgrade", "upgrade": "h2c, websocket, nonsense/7"}, id="several"),
            pytest.param({"connection": "Upgrade", "upgrade": ""}, id="nothing"),
            pytest.param({"connection": "Upgrade"}, id="no offer behind the word"),
            pytest.param({"upgrade": "h2c"}, id="no word before the offer"),
            pytest.param(
                {"connection": " , Upgrade ,, x-own", "upgrade": "h2c", "x_own": "1"}, id="odd list"
            ),
            pytest.param({**H2C, "expect": "100-continue"}, id="100-continue"),
        ],
    )
    @pytest.mark.parametrize("form", ["length", "chunks"])
    def test_the_body_arrives_and_the_connection_goes_on(
        self, url: str, offer: dict[str, str], form: str
    ) -> None:
        self._ask(url, offer, "apart", form)

    @pytest.mark.parametrize("cut", ["whole", "in small pieces"])
    @pytest.mark.parametrize("form", ["length", "chunks"])
    def test_however_the_packets_are_cut(self, url: str, cut: str, form: str) -> None:
        self._ask(url, H2C, cut, form)

    def _ask(self, url: str, offer: dict[str, str], cut: str, form: str) -> None:
        size, body = (SIZE, BODY) if form == "length" else ({"transfer_encoding": "chunked"}, CHUNKED)
        with Line(url) as line:
            head = line.head("POST", "/a?b=c", **offer, **size)
            if cut == "whole":
                line.send(head + body)
            elif cut == "apart":
                line.send(head, body)
            else:
                whole = head + body
                line.send(*(whole[start : start + 29] for start in range(0, len(whole), 29)), pause=0.002)
            first = [one for one in line.answers() if one.status != 100]
            assert [told(one)["body"] for one in first] == [BODY.decode()]
            line.send(line.head("POST", "/again", **SIZE) + BODY)
            assert [told(one)["path"] for one in line.answers()] == ["/again"]

    @pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
    def test_so_does_one_without_a_body(self, url: str, method: str) -> None:
        with Line(url) as line:
            data = line.send(line.head(method, "/a", **H2C)).received()
            assert data.count(b"HTTP/1.1 200 OK") == 1
            assert line.send(line.head("GET", "/again")).answers()[0].status == 200

    def test_what_else_the_head_says_stays(self, url: str) -> None:
        more = {"x_one": "1", "connection": "close, Upgrade", "upgrade": "h2c", "content_type": "a/b; c=d"}
        with Line(url) as line:
            (answer,) = line.send(line.head("POST", "/a", **more, **SIZE) + BODY).answers()
            assert {"x-one", "content-type", "host", "content-length"} <= set(told(answer)["headers"])
            assert told(answer)["connection"] == "close"
            assert line.seconds_to_end(3) < 3

    def test_several_in_one_packet_are_answered_in_their_order(self, url: str) -> None:
        with Line(url) as line:
            offered = [line.head("POST", f"/{number}", **H2C, **SIZE) + BODY for number in range(20)]
            plain = line.head("POST", "/plain", **SIZE) + BODY
            found = line.send(b"".join([*offered[:10], plain, *offered[10:]])).answers()
            paths = [told(one)["path"] for one in found]
            assert paths == [*(f"/{n}" for n in range(10)), "/plain", *(f"/{n}" for n in range(10, 20))]
            assert {told(one)["body"] for one in found} == {BODY.decode()}

    def test_of_http_1_0_too(self, url: str) -> None:
        with Line(url) as line:
            head = line.head("POST", "/a", **H2C, **SIZE).replace(b"HTTP/1.1", b"HTTP/1.0")
            (answer,) = line.send(head + BODY).answers()
            assert told(answer)["body"] == BODY.decode()

    def test_a_tunnel_is_rejected(self, url: str) -> None:
        with Line(url) as line:
            (answer,) = line.send(b"CONNECT example.org:443 HTTP/1.1\r\nhost: a\r\n\r\n").answers()
            assert (answer.status, answer.headers["connection"]) == (400, "close")

    def test_http_2_from_the_start_is_rejected(self, url: str) -> None:
        with Line(url) as line:
            (answer,) = line.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").answers()
            assert answer.status == 400

    @pytest.mark.parametrize(
        "more", [["--no-buffer"], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]]
    )
    def test_by_curl(self, url: str, more: list[str], tmp_path: Path) -> None:
        curl = shutil.which("curl")
        if curl is None or b"HTTP2" not in subprocess.check_output([curl, "--version"]):
            pytest.skip("there is no curl with HTTP/2 here")
        (tmp_path / "body").write_bytes(BODY)
        command = [curl, "-sS", "--noproxy", "*", "--http2", "--data-binary", f"@{tmp_path}/body", *more]
        done = subprocess.run(
            [*command, f"{url}/one", f"{url}/two"], capture_output=True, timeout=30, check=True
        )
        one, two = done.stdout.replace(b"}{", b"}\n{").split(b"\n")
        assert [json.loads(part)["body"] for part in (one, two)] == [BODY.decode()] * 2

    def test_by_the_client_of_java(self, code: ModuleType, url: str, tmp_path: Path) -> None:
        """Its default is HTTP/2, so every plain request of it makes the offer, head and body in two packets."""
        java, javac = shutil.which("java"), shutil.which("javac")
        if java is None or javac is None or code is model_ui.bounded_http:
            pytest.skip("there is no JDK here, or the other copy has been asked")
        (tmp_path / "Ask.java").write_text(
            """
            import java.net.URI;
            import java.net.http.*;
            class Ask {
                public static void main(String[] arguments) throws Exception {
                    var client = HttpClient.newHttpClient();
                    for (var path : new String[] {"/one", "/two"}) {
                        var body = HttpRequest.BodyPublishers.ofString(arguments[1]);
                        var request = HttpRequest.newBuilder(URI.create(arguments[0] + path)).POST(body).build();
                        System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
                    }
                }
            }
            """
        )
        subprocess.run([javac, "-d", str(tmp_path), str(tmp_path / "Ask.java")], check=True, timeout=120)
        command = [java, "-Xshare:auto", "-cp", str(tmp_path), "Ask", url, BODY.decode()]
        said = subprocess.run(command, capture_output=True, timeout=60, check=True, text=True).stdout
        assert [json.loads(line)["body"] for line in said.splitlines()] == [BODY.decode()] * 2


class TestDeadlines:
    """Nothing that waits for a client waits for ever."""

    @pytest.fixture(autouse=True)
    def short(self, code: ModuleType, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(code, "REST_SECONDS", 0.5)
        monkeypatch.setattr(code, "STUCK_SECONDS", 0.5)

    @pytest.fixture
    def brief(self, code: ModuleType) -> Iterator[str]:
        """A server that keeps idle connections for a second."""
        options: dict[str, Any] = {"ws": "none", "lifespan": "off", "timeout_keep_alive": 1}
        with Server(echo, http=code.BoundedHttpProtocol, **options) as server:
            yield server.url

    def test_in_the_product_a_kept_connection_outlives_those_of_proxies(self, code: ModuleType) -> None:
        assert 75 < code.KEPT_SECONDS < 90

    @pytest.mark.parametrize(
        "sent",
        [
            pytest.param(b"G", id="a letter"),
            pytest.param(b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-le", id="half a head"),
            pytest.param(b"POST /a HTTP/1.1\r\nhost: x\r\n\r", id="a head without its last byte"),
            pytest.param(b"GET /a HTTP/1.1\r\nupgrade: h2c\r\nconnection: upg", id="half an offer"),
        ],
    )
    def test_half_a_head_is_ended(self, url: str, sent: bytes) -> None:
        with Line(url) as line:
            assert line.send(sent).seconds_to_end(5) < 3

    def test_however_long_it_trickles(self, url: str) -> None:
        with Line(url) as line:
            begin = time.monotonic()
            with pytest.raises(ConnectionError):
                line.send(*[b"GET /a HTTP/1.1\r\n", *[b"x: y\r\n"] * 60], pause=0.1)
            assert time.monotonic() - begin < 4

    def test_after_a_request_too(self, url: str) -> None:
        with Line(url) as line:
            assert line.send(line.head("GET", "/a")).answers()[0].status == 200
            assert line.send(b"GET /").seconds_to_end(5) < 3

    def test_the_rest_of_a_body_that_was_answered_already(self, url: str) -> None:
        with Line(url) as line:
            line.send(line.head("POST", "/early", content_length="1000"), b"half")
            assert line.answers()[0].status == 200
            assert line.send(b"more").seconds_to_end(5) < 3

    def test_also_when_nothing_more_of_it_comes(self, url: str) -> None:
        with Line(url) as line:
            line.send(line.head("POST", "/early", content_length="1000") + b"half")
            assert line.seconds_to_end(5) < 3

    def test_a_connection_on_which_nothing_comes(self, brief: str) -> None:
        with Line(brief) as line:
            assert 0.5 < line.seconds_to_end(5) < 4

    def test_an_idle_one(self, brief: str) -> None:
        with Line(brief) as line:
            assert line.send(line.head("GET", "/a")).answers()[0].status == 200
            assert line.seconds_to_end(5) < 4

    def test_empty_lines_keep_none(self, brief: str) -> None:
        with Line(brief) as line:
            assert line.send(b"\r\n", b"\r\n").seconds_to_end(5) < 4

    def test_a_client_that_does_not_read(self, url: str, brief: str) -> None:
        for address in (url, brief):
            with Line(address) as line:
                line.send(line.head("GET", "/large"))
                time.sleep(2.0)
                assert len(line.received(0.3)) < LARGE

    def test_a_client_that_reads_slowly_gets_everything(self, url: str, brief: str) -> None:
        for address in (url, brief):
            with Line(address) as line:
                line.send(line.head("GET", "/large"))
                found = 0
                while found < LARGE:
                    found += len(line.socket.recv(2 * 1024 * 1024))
                    time.sleep(0.05)

    def test_a_request_that_takes_long_is_answered(self, url: str) -> None:
        with Line(url) as line:
            line.send(line.head("POST", "/a", content_length="8"), *[b"x"] * 8, pause=0.15)
            assert told(line.answers()[0])["body"] == "x" * 8


class TestStrange:
    def test_a_head_that_has_no_end(self, url: str) -> None:
        with Line(url) as line:
            line.send(line.head("GET", "/a")[:-2], *[b"x-more: " + b"y" * 8000 + b"\r\n"] * 9, pause=0.01)
            assert [one.status for one in line.answers()] == [431]

    def test_what_comes_after_a_body_is_no_header(self, url: str) -> None:
        with Line(url) as line:
            trailers = CHUNKED[:-2] + b"authorization: Bearer x\r\n\r\n"
            (answer,) = line.send(
                line.head("POST", "/slow", transfer_encoding="chunked") + trailers
            ).answers()
            assert told(answer)["headers"] == ["host", "transfer-encoding"]

    def test_nonsense_after_a_request_does_not_take_its_place(self, url: str) -> None:
        with Line(url) as line:
            found = line.send(line.head("GET", "/slow") + b"\x00\x01nonsense\r\n\r\n").received()
            assert [one.status for one in parsed(found)] == [200]

    def test_a_broken_chunk_is_told(self, url: str) -> None:
        with Line(url) as line:
            line.send(line.head("POST", "/a", transfer_encoding="chunked"), b"zz\r\nwhat\r\n")
            assert [one.status for one in line.answers()] == [400]

    @pytest.mark.parametrize(
        "sent",
        [
            pytest.param(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="length and chunks"),
            pytest.param(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", id="chunks and length"),
            pytest.param(b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", id="two lengths"),
            pytest.param(b"Content-Length: 1, 1\r\n\r\na", id="a list of lengths"),
            pytest.param(b"Content-Length: +1\r\n\r\na", id="a length with a sign"),
            pytest.param(b"Content-Length: 0x1\r\n\r\na", id="a length in hexadecimal"),
            pytest.param(b"Content-Length : 1\r\n\r\na", id="a space after a name"),
            pytest.param(b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", id="chunks that are not the last"),
            pytest.param(b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", id="another encoding"),
            pytest.param(b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", id="a control before the encoding"),
            pytest.param(b"Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n", id="chunks with bare line feeds"),
            pytest.param(b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n", id="a chunk that is longer"),
            pytest.param(b"X: a\r\n b\r\n\r\n", id="a folded header"),
            pytest.param(b"X: a\x00b\r\n\r\n", id="a NUL"),
        ],
    )  # fmt: skip
    def test_what_two_servers_could_read_differently_is_answered_once_and_ends_the_connection(
        self, url: str, sent: bytes
    ) -> None:
        with Line(url) as line:
            line.send(b"POST /a HTTP/1.1\r\nHost: x\r\n" + sent + line.head("GET", "/smuggled"))
            assert [one.status for one in line.answers()] == [400]
            assert line.seconds_to_end(2) < 2

    @pytest.mark.parametrize(
        ("target", "host"),
        [
            ("http://evil.example/a", "evil.example"),
            ("http://evil.example:1/?a", "evil.example:1"),
            ("https://own@evil.example/a", "own@evil.example"),
            ("/a//http://evil.example/", "own"),
            ("*", "own"),
        ],
    )
    def test_an_absolute_address_counts_as_the_host_that_was_asked(
        self, url: str, target: str, host: str
    ) -> None:
        with Line(url) as line:
            line.send(f"OPTIONS {target} HTTP/1.1\r\nHost: own\r\n\r\n".encode())
            assert told(line.answers()[0])["host"] == host


class TestManyConnections:
    @pytest.fixture
    def few(self, code: ModuleType, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(code.BoundedHttpProtocol, "max_connections", 40)

    @pytest.mark.parametrize(
        "sent",
        [
            pytest.param(b"", id="idle"),
            pytest.param(b"GET / HT", id="half a head"),
            pytest.param(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf", id="half a body"),
        ],
    )
    def test_those_that_wait_make_room(self, url: str, few: None, sent: bytes) -> None:
        address = url.removeprefix("http://").split(":")
        others = []
        try:
            for _ in range(120):
                others.append(socket.create_connection((address[0], int(address[1])), 5))
                others[-1].sendall(sent)
            for _ in range(20):
                with Line(url) as line:
                    assert line.send(line.head("GET", "/a")).answers()[0].status == 200
        finally:
            for each in others:
                each.close()
