"""The stores of archives and inputs as the settings say: folders or buckets, repaired from a copy."""

from collections.abc import Mapping
from functools import partial

from metadata_api.database.session import Sessions
from metadata_api.objects import ledger
from metadata_api.objects.repair import RepairedStore
from metadata_api.settings import Settings
from metadata_api.storage.base import KINDS, ObjectStore
from metadata_api.storage.folder import FolderStore

INPUTS = "images"
"""Folder and prefix of inputs, from when they were images only: what is there stays where it is. To rename a folder
while an older process uses it, or a bucket's objects one by one, would be a start that takes long and can fail."""


def of_settings(settings: Settings, sessions: Sessions) -> dict[str, RepairedStore]:
    """Where archives and where inputs are kept, by the ledger's kind."""
    found = dict(zip(KINDS, _bare(settings), strict=True))
    copies: Mapping[str, ObjectStore] = {}
    if settings.backup is not None:
        # Only where it is used, as below.
        from metadata_api.storage.copied import copied_stores

        copies = copied_stores(settings.backup, settings.store_dir / "copy")
    return {
        kind: RepairedStore(store, copies.get(kind), partial(ledger.note, sessions, kind))
        for kind, store in found.items()
    }


def _bare(settings: Settings) -> tuple[ObjectStore, ObjectStore]:
    folder, free = settings.store_dir, settings.retention.free_bytes
    if settings.s3 is None:
        return FolderStore(folder / "artifacts", free), FolderStore(folder / INPUTS, free)
    # Only where it is used: the client of S3 is the largest thing that this process could load.
    from metadata_api.storage.s3 import S3Store

    return (
        S3Store(settings.s3, folder / "artifacts", prefix=settings.s3.prefix, ending=".mar", free_bytes=free),
        # A name only, whatever the input is: keys of an existing bucket end so.
        S3Store(settings.s3, folder / INPUTS, prefix=INPUTS, ending=".png", free_bytes=free),
    )
