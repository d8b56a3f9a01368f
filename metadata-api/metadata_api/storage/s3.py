"""The content-addressed store in a bucket: each object under a prefix, its sha256 and an ending."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store as Bucket

from metadata_api.errors import OutOfSpace, Unavailable
from metadata_api.settings.stores import S3
from metadata_api.storage.base import DIGEST, StoredBytes, checked
from metadata_api.storage.folder import FolderStore

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Credential

PART_BYTES = 8 * 1024 * 1024
# For each request, of which a large object takes several: reading and writing go part by part.
REQUEST_SECONDS = 30
CONNECT_SECONDS = 3
RETRY_SECONDS = 5
# Credentials are read anew after this time, so that a rotated Secret is taken up.
CREDENTIALS_SECONDS = 60
# How servers say that the bucket or its disks are full.
FULL = ("InsufficientStorage", "StorageFull", "QuotaExceeded", "507 ")
log = logging.getLogger(__name__)


class S3Store:
    """Objects that never change, in a bucket; an upload is received in a folder first and then sent.

    The server checks the sha256 of what it gets, and what is read is checked against its name. Every
    method raises Unavailable when the bucket does not answer, OutOfSpace when it is full.
    """

    def __init__(self, bucket: S3, folder: Path, *, prefix: str, ending: str, free_bytes: int = 0) -> None:
        self._prefix = prefix.strip("/")
        self._ending = ending
        self._incoming = FolderStore(folder, free_bytes)
        self._bucket = open_bucket(bucket)

    def prepare(self) -> None:
        """Make the folder for uploads; the bucket is first asked when it is needed."""
        self._incoming.prepare()

    def temporary(self) -> AbstractContextManager[Path]:
        """A path on this machine to write to; removed at the end."""
        return self._incoming.temporary()

    def require_room(self, *, incoming: bool = False) -> None:
        """Raise OutOfSpace when the disk of this machine is nearly full, on which uploads wait."""
        self._incoming.require_room(incoming=incoming)

    def adopt(self, path: Path) -> str:
        """Send a finished temporary file to the bucket; returns its sha256."""
        with path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        # Also what is there already, which may be damaged.
        self._send(digest, path)
        return digest

    def put(self, data: bytes) -> str:
        """Store bytes; returns their sha256. Those that are there already are sent again only when damaged."""
        digest = sha256(data).hexdigest()
        with translated(), suppress(FileNotFoundError):
            if bytes(obstore.get(self._bucket, self._key(digest)).bytes()) == data:
                return digest
        self._send(digest, data)
        return digest

    def delete(self, digest: str) -> None:
        """Delete an object; nothing happens when it is gone."""
        with translated(), suppress(FileNotFoundError):
            obstore.delete(self._bucket, self._key(digest))

    def objects(self, after: str = "") -> Iterator[StoredBytes]:
        """All objects in the order of their sha256, those after one if given."""
        with translated():
            # A bucket lists its keys in their order.
            listing = obstore.list(
                self._bucket, self._prefix or None, offset=self._key(after) if after else None
            )
            for page in listing:
                for one in page:
                    name = one["path"].rpartition("/")[2].removesuffix(self._ending)
                    if DIGEST.match(name) and one["path"] == self._key(name):
                        yield StoredBytes(name, one["size"])

    def local(self, digest: str) -> None:
        """Nothing in a bucket is a file of this machine."""
        checked(digest)

    def exists(self, digest: str) -> bool:
        """Whether the object is there."""
        return self._size(digest) is not None

    def read(self, digest: str) -> bytes:
        """All bytes of an object; raises Unavailable when it is missing or damaged."""
        return b"".join(self.stream(digest))

    def stream(self, digest: str) -> Iterator[bytes]:
        """An object part by part, checked when the last one is there; raises as `read` does."""
        size, seen = self._size(digest), sha256()
        if size is None:
            raise Unavailable("artifact_missing", f"The bucket lacks {digest}. Restore it.")
        for start in range(0, size, PART_BYTES):
            with translated():
                length = min(PART_BYTES, size - start)
                part = bytes(obstore.get_range(self._bucket, self._key(digest), start=start, length=length))
            seen.update(part)
            yield part
        if seen.hexdigest() != digest:
            log.error("the bucket has other bytes under %s", self._key(digest))
            raise Unavailable("artifact_damaged", f"The bucket has other bytes for {digest}. Restore it.")

    def _send(self, digest: str, content: bytes | Path) -> None:
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        with translated():
            obstore.put(
                self._bucket,
                self._key(digest),
                content,
                attributes={"Content-Type": "application/octet-stream"},
                chunk_size=PART_BYTES,
                max_concurrency=4,
            )
        if self._size(digest) != size:
            raise Unavailable("store_unavailable", "The bucket did not keep what was sent. Try again.")

    def _size(self, digest: str) -> int | None:
        with translated():
            try:
                return obstore.head(self._bucket, self._key(digest))["size"]
            except FileNotFoundError:
                return None

    def _key(self, digest: str) -> str:
        name = f"{checked(digest)}{self._ending}"
        return f"{self._prefix}/{name}" if self._prefix else name


def open_bucket(settings: S3) -> Bucket:
    """A client of a bucket that has to be there; nothing is asked yet."""
    client: ClientConfig = {
        "timeout": timedelta(seconds=REQUEST_SECONDS),
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "allow_http": settings.endpoint.startswith("http://"),
    }
    config: S3Config = {"region": settings.region, "checksum_algorithm": "SHA256"}
    if settings.endpoint:
        config["endpoint"] = settings.endpoint.rstrip("/")
    folder = settings.credentials_dir
    return Bucket(
        settings.bucket,
        config=config,
        client_options=client,
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
        credential_provider=(lambda: _credentials(folder)) if folder else None,
    )


def _credentials(folder: Path) -> "S3Credential":
    return {
        "access_key_id": (folder / "AWS_ACCESS_KEY_ID").read_text().strip(),
        "secret_access_key": (folder / "AWS_SECRET_ACCESS_KEY").read_text().strip(),
        "expires_at": datetime.now(UTC) + timedelta(seconds=CREDENTIALS_SECONDS),
    }


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the client as our own: Unavailable, OutOfSpace."""
    try:
        yield
    except (BaseError, OSError) as error:
        said = " ".join(str(error).split())[:500]
        log.warning("bucket: %s", said)
        if any(word in said for word in FULL):
            raise OutOfSpace(
                "store_full", "The bucket is full; nothing was stored. Free space or raise its quota."
            ) from error
        raise Unavailable(
            "store_unavailable", "The object store does not answer as it should. Try again in a moment."
        ) from error
