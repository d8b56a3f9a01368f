"""Dumps of the database in a bucket, beside the copies of the stored objects; for `copy_backup`."""

from pathlib import Path

import obstore

from metadata_api.settings.stores import S3
from metadata_api.storage.s3 import open_bucket, translated

FOLDER = "dumps"


class DumpBucket:
    """The dumps and manifests under the prefix of a bucket; raises Unavailable and OutOfSpace as S3Store does."""

    def __init__(self, settings: S3) -> None:
        self._bucket = open_bucket(settings)
        self._prefix = f"{settings.prefix.strip('/')}/{FOLDER}"

    def put(self, path: Path) -> None:
        """Send a file; it is there whole or not at all."""
        with translated():
            obstore.put(self._bucket, f"{self._prefix}/{path.name}", path)

    def names(self) -> list[str]:
        """Names of all files, the oldest first, as names begin with the time."""
        with translated():
            pages = obstore.list(self._bucket, self._prefix)
            return sorted(one["path"].rpartition("/")[2] for page in pages for one in page)

    def fetch(self, name: str, path: Path) -> None:
        """Write a file under a temporary name, and rename it when it is whole."""
        new = path.with_name(f"{path.name}.part")
        with translated(), new.open("wb") as file:
            for part in obstore.get(self._bucket, f"{self._prefix}/{name}").stream():
                file.write(bytes(part))
        new.replace(path)
