"""Where the copies of stored objects are in the bucket for backups."""

from pathlib import Path

from metadata_api.settings.stores import BackupBucket
from metadata_api.storage.base import KINDS
from metadata_api.storage.s3 import S3Store

FOLDERS = {kind: kind for kind in KINDS} | {"input": "image"}
"""Where the objects of each kind are; inputs are where images were, as those are copied already."""


def copied_stores(bucket: BackupBucket, folder: Path) -> dict[str, S3Store]:
    """The copy of each kind; `folder` is for what is on its way."""
    prefix = bucket.prefix.strip("/")
    return {
        kind: S3Store(bucket, folder / kind, prefix=f"{prefix}/{FOLDERS[kind]}", ending="") for kind in KINDS
    }
