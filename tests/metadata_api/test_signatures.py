"""Signed archives: whose signature counts, what an upload without one gets, and what a forged one does."""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from metadata_api.app import create_app
from metadata_api.settings import Settings
from metadata_api.settings.auth import Signature
from metadata_api.signatures import MAX_BYTES
from tests.conftest import ROOT
from tests.metadata_api.conftest import row_counts
from tests.metadata_api.making import make_experiment, make_mar
from tests.metadata_api.servers import running
from tests.metadata_api.signing import PROGRAM, Key, run

VERSIONS = "/v1/experiments/digits/versions"
RELEASE, STRANGER = Key("release"), Key("stranger")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trusted keys of the application under test."""
    folder = tmp_path_factory.mktemp("keys")
    RELEASE.trust(folder)
    return folder


def application(settings: Settings, folder: Path, *, required: bool) -> FastAPI:
    """An API that trusts the keys of a folder."""
    signature = Signature(keys=(folder,), required=required)
    return create_app(settings.model_copy(update={"signature": signature}))


@pytest.fixture(scope="module")
def trusting(settings: Settings, engine: Engine, folder: Path) -> Iterator[str]:
    with running(application(settings, folder, required=False)) as address:
        yield address


@pytest.fixture(scope="module")
def strict(settings: Settings, engine: Engine, folder: Path) -> Iterator[str]:
    with running(application(settings, folder, required=True)) as address:
        yield address


@pytest.fixture
def experiment(engine: Engine, clean: None) -> None:
    """The experiment that all uploads here are for."""
    make_experiment(engine)


@pytest.fixture
def client(trusting: str, experiment: None) -> Iterator[httpx.Client]:
    """A client of an API that takes signatures and needs none."""
    with httpx.Client(base_url=trusting, timeout=30) as client:
        yield client


@pytest.fixture
def demanding(strict: str, experiment: None) -> Iterator[httpx.Client]:
    """A client of an API that needs a signature of every archive."""
    with httpx.Client(base_url=strict, timeout=30) as client:
        yield client


def send(client: httpx.Client, archive: bytes, signature: object = None) -> httpx.Response:
    files: dict[str, bytes] = {"file": archive}
    if signature is not None:
        files["signature"] = signature if isinstance(signature, bytes) else json.dumps(signature).encode()
    return client.post(VERSIONS, files=files)


class TestSigned:
    def test_what_the_real_program_signs_is_taken_and_names_its_signer(
        self, demanding: httpx.Client, tmp_path: Path
    ) -> None:
        archive = make_mar(tmp_path)
        (tmp_path / "digits.mar").write_bytes(archive)
        answer = send(demanding, archive, RELEASE.sign_by_program(tmp_path / "digits.mar"))
        assert answer.status_code == 201, answer.text
        shown = demanding.get(f"{VERSIONS}/1").json()
        assert (shown["signed_by"], shown["signing_key_sha256"]) == ("release", RELEASE.sha256)
        assert shown["uploaded_sha256"] == hashlib.sha256(archive).hexdigest()
        (entry,) = demanding.get("/v1/audit").json()["items"]
        assert entry["changes"][0]["after"]["signed_by"] == "release"

    @pytest.mark.long
    def test_the_commands_of_the_documentation_sign_what_is_taken(
        self, settings: Settings, experiment: None, tmp_path: Path
    ) -> None:
        block = re.search(r"```sh\n(openssl .*?)```", (ROOT / "docs/security.md").read_text(), re.S)
        assert block
        commands = [line for line in block[1].splitlines() if line.startswith(("openssl ", "model_signing "))]
        assert len(commands) == 3
        archive = make_mar(tmp_path)
        (tmp_path / "cnn.mar").write_bytes(archive)
        environment = {**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}
        for command in commands:
            subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, check=True, timeout=60)
        keys = tmp_path / "keys"
        keys.mkdir()
        (tmp_path / "release.pem").rename(keys / "release.pem")
        with (
            running(application(settings, keys, required=True)) as address,
            httpx.Client(base_url=address) as api,
        ):
            answer = send(api, archive, (tmp_path / "cnn.mar.sig").read_bytes())
        assert (answer.status_code, answer.json()["signed_by"]) == (201, "release"), answer.text

    def test_the_real_program_takes_what_these_tests_sign(self, tmp_path: Path) -> None:
        archive, trusted = tmp_path / "a.mar", RELEASE.trust(tmp_path)
        archive.write_bytes(b"bytes")
        signature = tmp_path / "a.sig"
        for content, code in ((RELEASE.sign(b"bytes"), 0), (RELEASE.sign(b"others"), 1)):
            signature.write_text(json.dumps(content))
            done = run("verify", "key", "--signature", signature, "--public_key", trusted, archive)
            assert done.returncode == code, done.stdout + done.stderr

    def test_a_signature_as_text_of_a_form_is_one_too(self, client: httpx.Client, tmp_path: Path) -> None:
        archive = make_mar(tmp_path)
        data = {"signature": json.dumps(RELEASE.sign(archive))}
        answer = client.post(VERSIONS, files={"file": archive}, data=data)
        assert (answer.status_code, answer.json()["signed_by"]) == (201, "release")

    @pytest.mark.parametrize("form", [True, False], ids=["form", "body"])
    def test_without_one_an_archive_is_taken_where_none_is_needed(
        self, client: httpx.Client, tmp_path: Path, form: bool
    ) -> None:
        archive = make_mar(tmp_path)
        answer = send(client, archive) if form else client.post(VERSIONS, content=archive)
        assert answer.status_code == 201
        assert (answer.json()["signed_by"], answer.json()["signing_key_sha256"]) == (None, None)

    def test_what_was_uploaded_before_can_be_signed_later_and_once(
        self, client: httpx.Client, tmp_path: Path, folder: Path
    ) -> None:
        archive, other = make_mar(tmp_path), Key("other")
        client.post(VERSIONS, content=archive)
        assert send(client, archive, RELEASE.sign(archive)).status_code == 200
        path = other.trust(folder)
        try:
            again = send(client, archive, other.sign(archive))
        finally:
            path.unlink()
        assert (again.status_code, again.json()["version"], again.json()["signed_by"]) == (200, 1, "release")


class TestRejected:
    """Nothing of a rejected upload stays, neither a row nor a file."""

    @pytest.fixture
    def unchanged(self, settings: Settings, engine: Engine, experiment: None) -> Iterator[None]:
        def stored() -> object:
            return row_counts(engine), {one for one in settings.store_dir.rglob("*") if one.is_file()}

        before = stored()
        yield
        assert stored() == before

    @pytest.mark.parametrize("form", [True, False], ids=["form", "body"])
    def test_an_archive_without_a_signature_where_one_is_needed(
        self, unchanged: None, demanding: httpx.Client, tmp_path: Path, form: bool
    ) -> None:
        archive = make_mar(tmp_path)
        answer = send(demanding, archive) if form else demanding.post(VERSIONS, content=archive)
        assert (answer.status_code, answer.json()["error"]) == (400, "signature_missing")
        assert "model_signing sign key" in answer.json()["detail"]

    def test_a_signature_where_nobody_would_check_it(
        self, unchanged: None, api: httpx.Client, tmp_path: Path
    ) -> None:
        archive = make_mar(tmp_path)
        answer = send(api, archive, RELEASE.sign(archive))
        assert (answer.status_code, answer.json()["error"]) == (400, "signature_not_checked")

    @pytest.mark.long
    def test_a_folder_that_the_real_program_signed(
        self, unchanged: None, client: httpx.Client, tmp_path: Path
    ) -> None:
        archive = make_mar(tmp_path)
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "digits.mar").write_bytes(archive)
        answer = send(client, archive, RELEASE.sign_by_program(tmp_path / "model"))
        assert (answer.status_code, answer.json()["error"]) == (400, "signature_of_something_else")

    @pytest.mark.parametrize("as_file", [True, False], ids=["file", "text"])
    @pytest.mark.parametrize("size", [MAX_BYTES + 1, 3 * 1024 * 1024])
    def test_a_signature_that_is_too_large(
        self, unchanged: None, client: httpx.Client, tmp_path: Path, as_file: bool, size: int
    ) -> None:
        archive, large = make_mar(tmp_path), b"x" * size
        if as_file:
            answer = send(client, archive, large)
            assert (answer.status_code, answer.json()["error"]) == (413, "signature_too_large")
        else:
            answer = client.post(VERSIONS, files={"file": archive}, data={"signature": large.decode()})
            assert (answer.status_code, "size" in answer.json()["detail"]) == (400, True)

    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ([("file", "mar"), ("signatur", "sig")], "form_unreadable"),
            ([("file", "mar"), ("file", "mar")], "form_unreadable"),
            ([("signature", "sig"), ("signature", "sig")], "form_unreadable"),
            ([("signature", "sig")], "file_missing"),
        ],
        ids=["mistyped", "two files", "two signatures", "no file"],
    )
    def test_a_form_of_other_fields(
        self, unchanged: None, client: httpx.Client, tmp_path: Path, fields: list[tuple[str, str]], code: str
    ) -> None:
        archive = make_mar(tmp_path)
        content = {"mar": archive, "sig": json.dumps(RELEASE.sign(archive)).encode()}
        files = [(name, ("name", content[what])) for name, what in fields]
        answer = client.post(VERSIONS, files=files)
        assert (answer.status_code, answer.json()["error"]) == (400, code)

    def test_any_form_at_all_is_never_a_fault(self, unchanged: None, client: httpx.Client) -> None:
        good = RELEASE.sign(b"")
        parts = [
            b"--x\r\n",
            b"--x--\r\n",
            b"\r\n",
            b'Content-Disposition: form-data; name="file"; filename="a"\r\n',
            b'Content-Disposition: form-data; name="signature"\r\n',
            b'Content-Disposition: form-data; name="signature"; filename="\xff\x00"\r\n',
            b"Content-Disposition: form-data; name=_charset_\r\n\r\nutf-7",
            b"Content-Type: text/plain; charset=utf-16\r\n",
            json.dumps(good).encode(),
            b"PK\x03\x04",
            b"\x00\xff" * 50,
        ]
        random = Random(20261128)
        for _ in range(150):
            body = b"".join(random.choices(parts, k=random.randint(0, 12)))
            kind = random.choice(
                ["multipart/form-data; boundary=x", "Multipart/Form-Data;boundary=x", "multipart/form-data"]
            )
            answer = client.post(VERSIONS, content=body, headers={"Content-Type": kind})
            assert answer.status_code in (400, 413), (body, answer.text)
            assert answer.json()["detail"]

    def test_an_empty_file(self, unchanged: None, client: httpx.Client) -> None:
        answer = send(client, b"", RELEASE.sign(b""))
        assert (answer.status_code, answer.json()["error"]) == (400, "body_empty")

    def test_keys_that_cannot_be_read_just_now(
        self, unchanged: None, client: httpx.Client, tmp_path: Path, folder: Path
    ) -> None:
        archive = make_mar(tmp_path)
        (folder / "broken.pem").write_text("no key")
        try:
            answer = send(client, archive, RELEASE.sign(archive))
        finally:
            (folder / "broken.pem").unlink()
        assert (answer.status_code, answer.json()["error"]) == (503, "signature_keys_unreadable")
