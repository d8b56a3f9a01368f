"""Where a database may be: behind a pooler, behind TLS, on a server that gives few connections."""

import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import OperationalError

from metadata_api.app import create_app
from metadata_api.database import migrate
from metadata_api.database.session import connect
from metadata_api.errors import Unavailable
from metadata_api.settings import Database, DatabaseSettings, Settings
from metadata_api.settings.auth import Auth
from tests.databases import empty_database, own_database
from tests.metadata_api.database.pooler import Mode, Pooler, pooler
from tests.metadata_api.making import open_settings, url_of
from tests.metadata_api.servers import running


@pytest.mark.system
class TestAPooler:
    @pytest.fixture(params=["session", "transaction"])
    def mode(self, request: pytest.FixtureRequest) -> Mode:
        return "session" if request.param == "session" else "transaction"

    @pytest.fixture
    def behind(self, postgres_url: str, mode: Mode) -> Iterator[Pooler]:
        """An empty database behind a pooler."""
        with empty_database(postgres_url) as url, pooler(url, mode) as found:
            yield found

    def test_gets_no_parameter_that_it_does_not_take(self, behind: Pooler) -> None:
        engine = connect(behind.url)
        with engine.connect() as connection:
            assert connection.scalar(text("select 1")) == 1
        engine.dispose()
        assert behind.rejected == []

    def test_several_migrate_through_it_at_once(self, behind: Pooler) -> None:
        engines = [connect(behind.url) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(migrate.upgrade, engine) for engine in engines]:
                done.result(60)
        migrate.check(engines[0])
        with engines[0].connect() as connection:
            held = """select count(*) from pg_locks join pg_database on database = pg_database.oid
                where locktype = 'advisory' and datname = current_database()"""
            assert connection.scalar(text(held)) == 0, "no session keeps the lock"
        for engine in engines:
            engine.dispose()

    def test_times_are_utc_in_whatever_session(self, behind: Pooler) -> None:
        other = connect(behind.url)
        with other.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("set timezone = 'Asia/Tokyo'"))
            found = connection.scalar(text("select now()"))
            assert found.utcoffset() == timedelta(0)
        other.dispose()

    def test_the_api_works_through_it(self, behind: Pooler, mode: Mode, tmp_path: Path) -> None:
        engine = connect(behind.url)
        migrate.upgrade(engine)
        engine.dispose()
        settings = Settings(
            auth=Auth(mode="off"),
            database_url=behind.url,
            database=Database(pool=3),
            store_dir=tmp_path / "store",
            serving_models_file=tmp_path / "models.json",
            serving_url="http://127.0.0.1:9",
        )
        with running(create_app(settings)) as address, httpx.Client(base_url=address, timeout=20) as client:
            with ThreadPoolExecutor(3) as pool:  # as many as the pool; what runs besides takes its overflow
                sent = [
                    pool.submit(client.post, "/v1/experiments", json={"name": f"net-{n}"}) for n in range(30)
                ]
                assert {one.result().status_code for one in sent} == {201}
            listed = client.get("/v1/experiments?limit=100").json()
            assert listed["total"] == 30
            assert listed["items"][0]["created_at"].endswith("Z")
            assert client.get("/readyz").status_code == 200
        assert (behind.switches > 20) == (mode == "transaction"), "no client kept a session"


class TestAServerThatGivesFewConnections:
    @pytest.fixture
    def stingy(self, postgres_url: str) -> Iterator[Engine]:
        """A database that takes three connections."""
        with own_database(postgres_url) as engine:
            with engine.begin() as connection:
                connection.execute(text(f"alter database {engine.url.database} connection limit 3"))
            engine.dispose()
            limited = connect(url_of(engine), pool=10)
            yield limited
            limited.dispose()

    def test_makes_requests_wait_and_not_fail(self, stingy: Engine) -> None:
        def ask(_: int) -> int:
            with stingy.connect() as connection:
                return int(connection.scalar(text("select 1 from pg_sleep(0.01)")) or 0)

        with ThreadPoolExecutor(12) as pool:
            assert set(pool.map(ask, range(60))) == {1}

    def test_none_at_all_is_told(self, stingy: Engine) -> None:
        held = [
            psycopg2.connect(stingy.url.render_as_string(hide_password=False).replace("+psycopg2", ""))
            for _ in range(3)
        ]
        with pytest.raises(OperationalError, match="too many connections"):
            stingy.connect()
        for each in held:
            each.close()


class TestADatabaseThatIsSetUpInItsOwnWay:
    DEFAULTS = (
        ("default_transaction_isolation", "serializable"), ("datestyle", "German, DMY"), ("timezone", "Asia/Kolkata"),
        ("intervalstyle", "iso_8601"), ("bytea_output", "escape"), ("lock_timeout", "9s"),
        ("extra_float_digits", "-15"), ("client_encoding", "LATIN1"), ("search_path", "shop, public"),
        ("idle_session_timeout", "300ms"), ("client_min_messages", "debug1"), ("enable_seqscan", "off"),
    )  # fmt: skip

    @pytest.fixture
    def peculiar(self, postgres_url: str) -> Iterator[str]:
        with empty_database(postgres_url) as url:
            engine = connect(url)
            with engine.begin() as connection:
                connection.execute(text("create schema shop"))
                connection.execute(text("create table shop.orders (experiments text)"))
                for name, value in self.DEFAULTS:
                    connection.execute(
                        text(f"alter database {engine.url.database} set {name} = {self._quoted(name, value)}")
                    )
            engine.dispose()
            yield url

    def _quoted(self, name: str, value: str) -> str:
        return value if name == "search_path" else f"'{value}'"

    def test_keeps_every_text_number_and_time(self, peculiar: str, tmp_path: Path) -> None:
        engine = connect(peculiar)
        migrate.upgrade(engine)
        digits = 0.1 + 0.2
        curve = {"loss": {"steps": [0], "values": [digits]}}
        made = {"name": "net", "display_name": "größe \\ 数 🎉", "curves": curve, "state": "running"}
        with (
            running(create_app(open_settings(engine, tmp_path, "http://127.0.0.1:9"))) as address,
            httpx.Client(base_url=address, timeout=20) as api,
        ):
            answer = api.post("/v1/experiments", json=made)
            assert answer.status_code == 201, answer.text
            time.sleep(0.5)  # idle sessions have ended

            def append(number: int) -> int:
                points = {"points": {"loss": {"steps": [number], "values": [digits]}}}
                return api.post("/v1/experiments/net/points", json=points).status_code

            with ThreadPoolExecutor(6) as pool:
                assert set(pool.map(append, range(1, 31))) == {200}
            shown = api.get("/v1/experiments/net").json()
            assert shown["display_name"] == made["display_name"]
            curve = api.get("/v1/curves", params={"experiment": "net"}).json()["curves"][0]
            assert set(curve["values"]) == {digits}
            assert abs(datetime.fromisoformat(shown["created_at"]) - datetime.now(UTC)) < timedelta(minutes=5)
        engine.dispose()

    def test_a_read_only_one_is_told_and_is_read(self, postgres_url: str, tmp_path: Path) -> None:
        with own_database(postgres_url) as engine:
            app = create_app(open_settings(engine, tmp_path, "http://127.0.0.1:9"))
            with running(app) as address, httpx.Client(base_url=address, timeout=20) as api:
                with engine.begin() as connection:
                    name = engine.url.database
                    connection.execute(text(f"alter database {name} set default_transaction_read_only = on"))
                    ours = "datname = current_database() and pid <> pg_backend_pid()"
                    connection.execute(
                        text(f"select pg_terminate_backend(pid) from pg_stat_activity where {ours}")
                    )
                answer = api.post("/v1/experiments", json={"name": "net"})
                assert (answer.status_code, answer.json()["error"]) == (503, "database_read_only")
                assert api.get("/v1/experiments").json()["total"] == 0
            engine.dispose()

    def test_one_that_cannot_hold_every_text_is_told(self, postgres_url: str) -> None:
        with empty_database(postgres_url, "encoding 'LATIN1' locale 'C' template template0") as url:
            engine = connect(url)
            with pytest.raises(Unavailable, match="LATIN1.*encoding 'UTF8'"):
                migrate.upgrade(engine)
            engine.dispose()

    @pytest.mark.parametrize(
        ("default", "told"),
        [
            ("search_path = nowhere", "Create one"),
            ("search_path = pg_catalog", "may not do this.*Grant"),
            ("standard_conforming_strings = off", "Switch it on"),
        ],
    )
    def test_what_cannot_be_worked_with_is_told(self, postgres_url: str, default: str, told: str) -> None:
        with empty_database(postgres_url) as url:
            engine = connect(url)
            with engine.begin() as connection:
                connection.execute(text(f"alter database {engine.url.database} set {default}"))
            engine.dispose()
            with pytest.raises(Unavailable, match=told):
                migrate.upgrade(engine)
            engine.dispose()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.crt, and a certificate and key for `localhost`."""
    folder = tmp_path_factory.mktemp("certificates")
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "our authority")])
    now = datetime.now(UTC)

    def build(name: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        valid = x509.CertificateBuilder().not_valid_before(now).not_valid_after(now + timedelta(hours=1))
        number = x509.random_serial_number()
        return valid.subject_name(name).issuer_name(ca).public_key(public).serial_number(number)

    own = build(ca, ca_key.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    host = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    for name, made in (
        ("ca.crt", own),
        ("server.crt", build(host, key.public_key()).add_extension(names, critical=False)),
    ):
        (folder / name).write_bytes(
            made.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "server.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    return folder


@pytest.fixture(scope="module")
def secured(authority: Path, postgres_url: str) -> Iterator[str]:
    """URL of a server that takes TLS, by the name in its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.crt", authority / "server.key")
    with pooler(postgres_url, tls=context) as found:
        yield make_url(found.url).set(host="localhost").render_as_string(hide_password=False)


def uses_tls(url: str, **how: str | Path | None) -> bool:
    """Whether a connection that is made so is encrypted."""
    engine = connect(url, **how)  # type: ignore[arg-type]
    try:
        with engine.connect() as connection:
            return bool(connection.connection.dbapi_connection.info.ssl_in_use)  # type: ignore[union-attr]
    finally:
        engine.dispose()


class TestTls:
    """The server proves its name by a certificate of an authority of ours, or is not talked to."""

    def test_with_a_ca_file_it_is_verify_full(self, secured: str, authority: Path) -> None:
        assert uses_tls(secured, ca_file=authority / "ca.crt")

    def test_the_url_may_say_so_too(self, secured: str, authority: Path) -> None:
        assert uses_tls(f"{secured}?sslmode=verify-full&sslrootcert={authority}/ca.crt")

    def test_another_name_is_not_believed(self, secured: str, authority: Path) -> None:
        other = make_url(secured).set(host="127.0.0.1").render_as_string(hide_password=False)
        with pytest.raises(OperationalError, match="does not match host name"):
            uses_tls(other, ca_file=authority / "ca.crt")
        assert uses_tls(other, ca_file=authority / "ca.crt", sslmode="verify-ca")

    def test_another_authority_is_not_believed(self, secured: str, authority: Path, tmp_path: Path) -> None:
        (tmp_path / "other.crt").write_bytes((authority / "server.crt").read_bytes())
        for mode in ("", "verify-ca", "verify-full"):
            with pytest.raises(OperationalError, match="certificate verify failed"):
                uses_tls(secured, ca_file=tmp_path / "other.crt", sslmode=mode)

    def test_a_server_without_tls_is_not_talked_to(self, postgres_url: str, authority: Path) -> None:
        with pytest.raises(OperationalError, match="does not support SSL"):
            uses_tls(postgres_url, ca_file=authority / "ca.crt")

    def test_a_ca_file_that_is_none_is_told_before_anything_else(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("METADATA_API_DATABASE_URL", "postgresql://a@b/c")
        monkeypatch.setenv("METADATA_API_DATABASE_CA_FILE", "/nowhere/ca.crt")
        with pytest.raises(ValidationError, match="does not point to a file"):
            DatabaseSettings()
        monkeypatch.setenv("METADATA_API_DATABASE_CA_FILE", "")
        monkeypatch.setenv("METADATA_API_DATABASE_SSLMODE", "verify-full")
        assert DatabaseSettings().connection["sslmode"] == "verify-full"
