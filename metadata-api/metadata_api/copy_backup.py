"""`python -m metadata_api.copy_backup push|fetch FOLDER [NAME]`: dumps of the database to a bucket, and back.

`push` sends the newest dump once the bucket has every object of its manifest, so that a dump in the bucket is whole.
`fetch` brings the newest or a named one into the folder, unless it is there. The bucket is that of
METADATA_API_BACKUP_BUCKET; the API sends the objects there by itself.
"""

import argparse
import sys
import time
from pathlib import Path

from pydantic import ValidationError

from metadata_api.errors import MarinaError
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
    """Send the newest dump; what was done, as a sentence. Raises OSError when the copy stays incomplete."""
    dump = max(folder.glob("marina-*.dump"), default=None)
    if dump is None:
        raise FileNotFoundError(f"there is no dump in {folder}")
    manifest, end = dump.with_suffix(".manifest"), time.monotonic() + seconds
    while lacking := _lacking(bucket, folder, manifest):
        if time.monotonic() > end:
            shown = ", ".join(sorted(lacking)[:SHOWN])
            raise OSError(
                f"the bucket lacks {len(lacking)} objects of {dump.name}: {shown}. Is the API running?"
            )
        time.sleep(min(POLL_SECONDS, seconds / 10))
    dumps = DumpBucket(bucket)
    # The dump last: where it is, everything is.
    dumps.put(manifest)
    dumps.put(dump)
    return f"sent {dump.name} to the bucket, which has all its objects"


def fetch(bucket: BackupBucket, folder: Path, name: str) -> str:
    """Bring a dump and its manifest into the folder, the newest unless one is named; raises OSError without one."""
    here = sorted(path.name for path in folder.glob("marina-*.dump"))
    if name in here or (not name and here):
        return f"{name or here[-1]} is in {folder} already"
    dumps = DumpBucket(bucket)
    there = [one for one in dumps.names() if one.endswith(".dump") and name in ("", one)]
    if not there:
        raise FileNotFoundError(f"the bucket has no dump {name or 'at all'}")
    dump = folder / there[-1]
    dumps.fetch(dump.with_suffix(".manifest").name, dump.with_suffix(".manifest"))
    dumps.fetch(dump.name, dump)
    return f"fetched {dump.name} from the bucket"


def _lacking(bucket: BackupBucket, folder: Path, manifest: Path) -> set[str]:
    """What the manifest names and the bucket has not, or in another size."""
    # Dumps of before inputs of other kinds call them images.
    lines = (line.split() for line in manifest.read_text().splitlines())
    needed = {("input" if kind == "image" else kind, *rest) for kind, *rest in lines}
    have = {
        (kind, found.sha256, str(found.size))
        for kind, store in copied_stores(bucket, folder).items()
        for found in store.objects()
    }
    return {" ".join(one[:2]) for one in needed - have}


if __name__ == "__main__":
    sys.exit(main())
