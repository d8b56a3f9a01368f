"""Dumps of the database in a bucket, beside the copies of the stored objects; for `copy_backup`."""

from contextlib import suppress
from pathlib import Path

import obstore

from metadata_api.settings.stores import S3
from metadata_api.storage.s3 import open_bucket, translated

FOLDER = "dumps"


OWNER = "installation"


class DumpBucket:
    """The dumps and manifests under the prefix of a bucket; raises Unavailable and OutOfSpace as S3Store does."""

    def __init__(self, settings: S3) -> None:
        self._bucket = open_bucket(settings)
        self._prefix = f"{settings.prefix.strip('/')}/{FOLDER}"
        self.owner_key = f"{settings.prefix.strip('/')}/{OWNER}"
        """Key of the object that says whose dumps these are."""

    def claim(self, installation: str) -> bool:
        """Make the dumps those of an installation; False when they are another's."""
        with translated():
            with suppress(FileNotFoundError):
                found = bytes(obstore.get(self._bucket, self.owner_key).bytes())
                return found.decode("ascii", "replace").strip() == installation
            obstore.put(self._bucket, self.owner_key, f"{installation}\n".encode())
        return True

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
