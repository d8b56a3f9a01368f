"""`python -m metadata_api.copy_backup push|fetch FOLDER [NAME]`: dumps of the database to a bucket, and back.

`push` sends the newest dump once the bucket has every object of its manifest, so that a dump in the bucket is whole;
objects that were broken already when it was made are named, and hold it up no longer. The dumps under a bucket's prefix
are those of one installation. `fetch` brings the newest or a named one into the folder, unless it is there.

The bucket is that of METADATA_API_BACKUP_BUCKET; the API sends the objects there by itself.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from metadata_api.errors import MarinaError, Unavailable
from metadata_api.settings.stores import BackupBucket
from metadata_api.settings.values import Environment
from metadata_api.storage.copied import copied_stores
from metadata_api.storage.dumps import DumpBucket

WAIT_SECONDS = 1800.0
POLL_SECONDS = 5.0
SHOWN = 10


class CopySettings(Environment):
    """The same variables that the API reads."""

    backup: BackupBucket


def main() -> int:
    """Run one command; exit code 1 with one line when it fails."""
    parser = argparse.ArgumentParser(prog="python -m metadata_api.copy_backup", description=__doc__)
    parser.add_argument("command", choices=["push", "fetch"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("name", nargs="?", default="")
    arguments = parser.parse_args()
    try:
        bucket = CopySettings().backup
        if arguments.command == "push":
            said = push(bucket, arguments.folder, WAIT_SECONDS)
        else:
            said = fetch(bucket, arguments.folder, arguments.name)
    except (MarinaError, OSError, ValueError) as error:
        line = "METADATA_API_BACKUP_BUCKET is missing" if isinstance(error, ValidationError) else str(error)
        sys.stderr.write(" ".join(line.split()) + "\n")
        return 1
    sys.stdout.write(said + "\n")
    return 0


def push(bucket: BackupBucket, folder: Path, seconds: float) -> str:
    """Send the newest dump; what was done, as a sentence.

    Raises OSError when the copy stays incomplete, or the dumps in the bucket are those of another installation.
    """
    dump = max(folder.glob("marina-*.dump"), default=None)
    if dump is None:
        raise FileNotFoundError(f"there is no dump in {folder}")
    path, end = dump.with_suffix(".manifest"), time.monotonic() + seconds
    manifest, dumps = _read(path), DumpBucket(bucket)
    if manifest.installation and not dumps.claim(manifest.installation):
        raise OSError(
            f"the bucket has dumps of another installation under this prefix, {bucket.prefix}: give each a prefix of "
            f"its own. Or, when that one is gone, delete {dumps.owner_key} from the bucket."
        )
    while lacking := _lacking(bucket, folder, manifest.needed):
        if time.monotonic() > end:
            raise OSError(
                f"the bucket lacks {len(lacking)} objects of {dump.name}: {_named(lacking)}. Is the API running?"
            )
        time.sleep(min(POLL_SECONDS, seconds / 10))
    # The dump last: where it is, everything is.
    dumps.put(path)
    dumps.put(dump)
    if broken := _lacking(bucket, folder, manifest.broken):
        return (
            f"sent {dump.name} to the bucket, which lacks {len(broken)} of its objects, because they were missing or "
            f"damaged when it was made: {_named(broken)}"
        )
    return f"sent {dump.name} to the bucket, which has all its objects"


def fetch(bucket: BackupBucket, folder: Path, name: str) -> str:
    """Bring a dump and its manifest into the folder, the newest unless one is named; raises OSError without one."""
    here = sorted(path.name for path in folder.glob("marina-*.dump"))
    if name in here:
        return f"{name} is in {folder} already"
    dumps = DumpBucket(bucket)
    try:
        there = [one for one in dumps.names() if one.endswith(".dump") and name in ("", one)]
    except Unavailable as error:
        if not here or name:
            raise
        return f"{here[-1]} is the newest in {folder}; the bucket does not answer: {error.detail}"
    if here and not name and (not there or there[-1] <= here[-1]):
        return f"{here[-1]} is in {folder} already"
    if not there:
        raise FileNotFoundError(f"the bucket has no dump {name or 'at all'}")
    dump = folder / there[-1]
    dumps.fetch(dump.with_suffix(".manifest").name, dump.with_suffix(".manifest"))
    dumps.fetch(dump.name, dump)
    return f"fetched {dump.name} from the bucket"


Objects = set[tuple[str, str, str]]
"""Kind, sha256 and size of each."""


@dataclass(frozen=True)
class _Manifest:
    """What a dump needs; `broken` was missing or damaged already when it was made."""

    installation: str
    needed: Objects
    broken: Objects


def _read(path: Path) -> _Manifest:
    installation = ""
    needed: Objects = set()
    broken: Objects = set()
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            installation = line.removeprefix("# installation").strip()
            continue
        kind, digest, size, *problem = line.split()
        # Dumps of before inputs of other kinds call them images.
        (broken if problem else needed).add(("input" if kind == "image" else kind, digest, size))
    return _Manifest(installation, needed, broken)


def _lacking(bucket: BackupBucket, folder: Path, wanted: Objects) -> Objects:
    """What of these the bucket has not, or in another size."""
    if not wanted:
        return set()
    have = {
        (kind, found.sha256, str(found.size))
        for kind, store in copied_stores(bucket, folder).items()
        for found in store.objects()
    }
    return wanted - have


def _named(objects: Objects) -> str:
    return ", ".join(f"{kind} {digest}" for kind, digest, _ in sorted(objects)[:SHOWN])


if __name__ == "__main__":
    sys.exit(main())
