"""Every object gets a copy once, in the bucket that is set now."""

from pathlib import Path

from sqlalchemy import Engine, event, text

from metadata_api.database.session import Sessions
from metadata_api.objects.copies import Copies
from metadata_api.objects.repair import RepairedStore
from metadata_api.storage.folder import FolderStore
from tests.metadata_api.objects.keeping import entry, upload

Stores = dict[str, RepairedStore]


def copy_all(sessions: Sessions, stores: Stores, place: str) -> None:
    copies = Copies(sessions, stores, place)
    while copies.step():
        pass


def test_another_bucket_gets_everything_that_the_first_one_has(
    sessions: Sessions, stores: Stores, images: RepairedStore, copy: FolderStore, tmp_path: Path
) -> None:
    digests = [upload(sessions, images, one) for one in (b"one", b"two")]
    copy_all(sessions, stores, "s3://first/marina")
    assert all(map(copy.exists, digests))
    other = images.copy = FolderStore(tmp_path / "other")
    other.prepare()
    copy_all(sessions, stores, "s3://first/marina")
    assert not any(map(other.exists, digests)), "nothing is sent twice"
    copy_all(sessions, stores, "s3://second/marina")
    assert all(map(other.exists, digests))
    found = entry(sessions, digests[0])
    assert found
    assert found.copied_to == "s3://second/marina"


def test_what_waits_is_found_by_an_index(
    sessions: Sessions, stores: Stores, images: RepairedStore, engine: Engine
) -> None:
    upload(sessions, images, b"one")
    plans: list[str] = []

    def explain(connection: object, cursor: object, statement: str, parameters: object, *_: object) -> None:
        if "copied_at IS NULL" in statement and statement.startswith("SELECT"):
            with engine.connect() as second:
                second.execute(text("set enable_seqscan = off"))
                plan = second.exec_driver_sql(f"explain {statement}", parameters)  # type: ignore[arg-type]
                plans.append(str(plan.all()))

    event.listen(engine, "before_cursor_execute", explain)
    try:
        copy_all(sessions, stores, "s3://first/marina")
    finally:
        event.remove(engine, "before_cursor_execute", explain)
    assert plans
    assert all("ix_stored_objects_uncopied" in plan for plan in plans), plans
