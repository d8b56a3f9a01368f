"""Signatures that prove nothing, and keys that are none: what is rejected before an archive is believed."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import ValidationError

from metadata_api.errors import Invalid
from metadata_api.settings import Settings
from metadata_api.settings.auth import Signature
from metadata_api.signatures import Signatures
from metadata_api.signatures.bundle import verify
from metadata_api.signatures.keys import TrustedKey, read
from tests.metadata_api.signing import Key, run, statement, statement_of

RELEASE, STRANGER = Key("release"), Key("stranger")


ARCHIVE = b"the bytes of an archive"
HERE = hashlib.sha256(ARCHIVE).hexdigest()
FILE = {"name": ".", "algorithm": "sha256", "digest": HERE}
GOOD = json.dumps(RELEASE.sign(ARCHIVE)).encode()
Bundle = dict[str, Any]


def changed(change: Callable[[Bundle], object]) -> Bundle:
    """A good signature after a change."""
    bundle = RELEASE.sign(ARCHIVE)
    change(bundle)
    return bundle


def envelope(**fields: object) -> Bundle:
    return changed(lambda bundle: bundle["dsseEnvelope"].update(fields))


def claimed(**fields: object) -> Bundle:
    """A statement with other fields, signed by a trusted key."""
    return RELEASE.envelop({**statement(ARCHIVE), **fields})


def files(*resources: dict[str, str]) -> Bundle:
    return RELEASE.envelop(statement_of(list(resources)))


def hinting(hint: object) -> Bundle:
    return changed(lambda bundle: bundle["verificationMaterial"].update(publicKey={"hint": hint}))


TWO = RELEASE.sign(ARCHIVE)["dsseEnvelope"]["signatures"] * 2
FORGED: dict[str, tuple[object, str]] = {
    "of another file": (RELEASE.sign(b"others"), "signature_mismatch"),
    "by a stranger": (STRANGER.sign(ARCHIVE), "signature_not_trusted"),
    "by a stranger who names a trusted key": (
        STRANGER.sign(ARCHIVE) | {"verificationMaterial": {"publicKey": {"hint": RELEASE.sha256}}},
        "signature_wrong",
    ),
    "with the payload of another": (
        envelope(payload=RELEASE.sign(b"others")["dsseEnvelope"]["payload"]),
        "signature_wrong",
    ),
    "empty signature": (envelope(signatures=[{"sig": ""}]), "signature_wrong"),
    "signature of zeros": (envelope(signatures=[{"sig": "MAYCAQACAQA="}]), "signature_wrong"),
    "no base64": (envelope(signatures=[{"sig": "%%%"}]), "signature_unreadable"),
    "base64 with line ends": (envelope(payload="e30\n="), "signature_unreadable"),
    "no signatures": (envelope(signatures=[]), "signature_unreadable"),
    "two signatures": (envelope(signatures=TWO), "signature_unreadable"),
    "another type of payload": (envelope(payloadType="text/plain"), "signature_unreadable"),
    "another type of bundle": (RELEASE.sign(ARCHIVE) | {"mediaType": "v9"}, "signature_unreadable"),
    "no key named": (hinting(""), "signature_unreadable"),
    "a key named by null": (hinting(None), "signature_unreadable"),
    "a key named by a number": (hinting(7), "signature_unreadable"),
    "a certificate instead of a key": (
        RELEASE.sign(ARCHIVE) | {"verificationMaterial": {"certificate": {"rawBytes": "AAAA"}}},
        "signature_unreadable",
    ),
    "of nothing": (files(), "signature_of_something_else"),
    "of two files": (files(FILE, FILE), "signature_of_something_else"),
    "of a file in a folder": (files({**FILE, "name": "a.mar"}), "signature_of_something_else"),
    "by another hash": (files({**FILE, "algorithm": "blake3"}), "signature_of_something_else"),
    "of a part of the file": (files({**FILE, "name": ".:0:10"}), "signature_of_something_else"),
    "of another kind": (
        claimed(predicateType="https://slsa.dev/provenance/v1"),
        "signature_of_something_else",
    ),
    "of the first format": (
        claimed(predicateType="https://model_signing/Digests/v0.1"),
        "signature_of_something_else",
    ),
    "no statement": (claimed(_type="another"), "signature_of_something_else"),
    "two subjects": (
        claimed(subject=statement(ARCHIVE)["subject"] * 2),
        "signature_of_something_else",
    ),
    "a subject that is another": (
        claimed(subject=statement(b"others")["subject"]),
        "signature_of_something_else",
    ),
    "not JSON": (b"signature", "signature_unreadable"),
    "empty": (b"", "signature_unreadable"),
    "a list": ([], "signature_unreadable"),
    "nested without end": (b"[" * 60_000, "signature_unreadable"),
    "objects without end": (b'{"mediaType":' * 4_000, "signature_unreadable"),
    "no UTF-8": (b'{"mediaType": "\xff"}', "signature_unreadable"),
    "half a surrogate pair": (b'{"mediaType": "\\ud800"}', "signature_unreadable"),
}


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrustedKey]:
    folder = tmp_path_factory.mktemp("keys")
    RELEASE.trust(folder)
    return dict(read([folder]))


class TestForged:
    @pytest.mark.parametrize("what", FORGED)
    def test_a_signature(self, trusted: dict[str, TrustedKey], what: str) -> None:
        signature, code = FORGED[what]
        content = signature if isinstance(signature, bytes) else json.dumps(signature).encode()
        with pytest.raises(Invalid) as raised:
            verify(content, HERE, trusted)
        assert raised.value.code == code
        assert len(raised.value.detail) < 2000
        raised.value.detail.encode()

    def test_the_good_one_that_they_were_made_from_is_taken(self, trusted: dict[str, TrustedKey]) -> None:
        assert verify(GOOD, HERE, trusted).name == "release"

    def test_the_real_program_takes_a_signature_of_nothing_for_one_of_any_file(self, tmp_path: Path) -> None:
        (tmp_path / "any.mar").write_bytes(ARCHIVE)
        (tmp_path / "nothing.sig").write_text(json.dumps(FORGED["of nothing"][0]))
        key = RELEASE.trust(tmp_path)
        arguments = ("--signature", tmp_path / "nothing.sig", "--public_key", key, tmp_path / "any.mar")
        assert run("verify", "key", *arguments).returncode == 0, "then the API could use its library"

    @given(data=st.data())
    @examples(max_examples=300, deadline=None)
    def test_bytes_that_were_changed_anywhere_are_never_a_fault_and_never_another_signature(
        self, trusted: dict[str, TrustedKey], data: st.DataObject
    ) -> None:
        at = data.draw(st.integers(0, len(GOOD) - 1))
        bad = GOOD[:at] + data.draw(st.binary(max_size=8)) + GOOD[at + data.draw(st.integers(0, 8)) :]
        try:
            verify(bad, HERE, trusted)
        except Invalid:
            return
        # What no check looks at may differ: the list of a log's entries, names that nobody asks for.
        before, after = json.loads(GOOD), json.loads(bad)
        assert after["dsseEnvelope"]["payload"] == before["dsseEnvelope"]["payload"]

    @given(content=st.binary(max_size=300))
    @examples(max_examples=200, deadline=None)
    def test_any_bytes_are_no_signature(self, trusted: dict[str, TrustedKey], content: bytes) -> None:
        with pytest.raises(Invalid):
            verify(content, HERE, trusted)


def pem(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


PRIVATE = RELEASE.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class TestKeys:
    @pytest.mark.long
    @pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda c: c.name)
    def test_of_every_curve_the_real_program_has(self, tmp_path: Path, curve: ec.EllipticCurve) -> None:
        key = Key("large", curve)
        path = tmp_path / "a.mar"
        path.write_bytes(ARCHIVE)
        trusted = read([key.trust(tmp_path)])
        assert verify(key.sign_by_program(path), HERE, trusted).sha256 == key.sha256

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (pem(ec.generate_private_key(ec.SECP256K1())), "another kind"),
            (pem(ed25519.Ed25519PrivateKey.generate()), "another kind"),
            (pem(rsa.generate_private_key(65537, 2048)), "another kind"),
            (PRIVATE, "no public key"),
            (b"", "no public key"),
            (b"\x00" * 100, "no public key"),
            (RELEASE.public_pem[:100], "no public key"),
            (RELEASE.public_pem + b" " * 20_000, "more than"),
        ],
        ids=["secp256k1", "ed25519", "rsa", "private", "empty", "zeros", "half", "large"],
    )
    def test_that_cannot_be_trusted_keep_the_api_from_starting(
        self, tmp_path: Path, content: bytes, words: str
    ) -> None:
        (tmp_path / "a.pem").write_bytes(content)
        with pytest.raises(ValueError, match=words):
            Signatures(Signature(keys=(tmp_path,)))

    def test_are_reached_through_links_as_a_mounted_configmap_has_them(self, tmp_path: Path) -> None:
        inner = tmp_path / "..2026_11_28"
        inner.mkdir()
        RELEASE.trust(inner)
        (tmp_path / "..data").symlink_to(inner.name)
        (tmp_path / "release.pem").symlink_to("..data/release.pem")
        assert [key.name for key in read([tmp_path]).values()] == ["release"]

    @pytest.mark.parametrize("target", ["/dev/zero", "fifo", "nowhere", "loop.pem", "."])
    def test_at_the_end_of_a_link_must_be_small_regular_files(self, tmp_path: Path, target: str) -> None:
        os.mkfifo(tmp_path / "fifo")
        link = tmp_path / "keys" / "loop.pem"
        link.parent.mkdir()
        link.symlink_to(target if target in ("/dev/zero", "loop.pem", ".") else tmp_path / target)
        with pytest.raises(ValueError, match=r"loop\.pem holds no public key"):
            read([link.parent])

    @pytest.mark.parametrize("name", ["a b.pem", "new\nline.pem", "ä.pem", "x" * 120 + ".pem"])
    def test_have_names_that_can_stand_in_a_log(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(RELEASE.public_pem)
        with pytest.raises(ValueError, match="no name for a key"):
            read([tmp_path])

    def test_are_files_and_folders_with_commas_between(self, tmp_path: Path, monkeypatch: Any) -> None:
        one, folder = RELEASE.trust(tmp_path), tmp_path / "more"
        folder.mkdir()
        STRANGER.trust(folder)
        monkeypatch.setenv("METADATA_API_SIGNATURE_KEYS", f"{one},{folder}")
        monkeypatch.setenv("METADATA_API_SIGNATURE_REQUIRED", "true")
        signature = Settings(
            database_url="postgresql://",
            store_dir=tmp_path,
            serving_models_file=tmp_path,
            auth={"mode": "off"},
        ).signature
        assert signature.required
        assert {key.name for key in read(signature.keys).values()} == {"release", "stranger"}

    def test_must_be_there(self, tmp_path: Path) -> None:
        with pytest.raises(ValidationError, match="REQUIRED needs METADATA_API_SIGNATURE_KEYS"):
            Signature(required=True)
        with pytest.raises(ValueError, match="holds no public key"):
            Signatures(Signature(keys=(tmp_path,)))
        with pytest.raises(ValueError, match="No such file"):
            Signatures(Signature(keys=(tmp_path / "none",)))

    def test_that_are_taken_away_count_no_more(self, tmp_path: Path) -> None:
        STRANGER.trust(tmp_path)
        path = RELEASE.trust(tmp_path)
        signatures = Signatures(Signature(keys=(tmp_path,)))
        content = json.dumps(RELEASE.sign(ARCHIVE)).encode()
        assert signatures.check(content, HERE)
        path.unlink()
        with pytest.raises(Invalid, match="not trusted"):
            signatures.check(content, HERE)
