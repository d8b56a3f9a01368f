"""Collection: nothing that a row needs is ever deleted, and what no row needs goes after the grace time."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from metadata_api import retention
from metadata_api.database.session import Sessions
from metadata_api.errors import Unavailable
from metadata_api.maintenance import Maintenance
from metadata_api.objects import collector, ledger
from metadata_api.objects.collector import collect
from metadata_api.objects.repair import RepairedStore
from metadata_api.settings.stores import Retention
from tests.metadata_api.objects.keeping import claim, delete, entry, keep, orphan, upload
from tests.waiting import until_async

NOW, LATER = timedelta(0), timedelta(hours=1)
Stores = dict[str, RepairedStore]


def test_what_a_row_needs_stays(sessions: Sessions, stores: Stores, images: RepairedStore) -> None:
    digest = upload(sessions, images, b"needed")
    assert collect(sessions, stores, NOW) == 0
    assert images.read(digest) == b"needed"


def test_what_no_row_needs_any_more_goes_after_the_grace_time_and_not_before(
    sessions: Sessions, stores: Stores, images: RepairedStore
) -> None:
    digest = upload(sessions, images, b"not needed")
    delete(sessions, digest)
    assert collect(sessions, stores, LATER) == 0
    assert images.exists(digest)
    assert collect(sessions, stores, NOW) == 1
    assert not images.exists(digest)
    assert entry(sessions, digest) is None


def test_an_upload_that_never_got_its_row_goes_too(
    sessions: Sessions, stores: Stores, images: RepairedStore
) -> None:
    digest = orphan(sessions, images, b"orphan")
    assert collect(sessions, stores, LATER) == 0
    assert collect(sessions, stores, NOW) == 1
    assert not images.exists(digest)


def test_bytes_that_the_ledger_does_not_know_are_never_deleted(
    sessions: Sessions, stores: Stores, images: RepairedStore
) -> None:
    digest = images.put(b"another installation's, or of rows that a restored database has lost")
    assert collect(sessions, stores, NOW) == 0
    assert images.exists(digest)


def test_rows_of_which_there_are_always_too_many_hold_up_no_collection(
    sessions: Sessions, stores: Stores, images: RepairedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = orphan(sessions, images, b"orphan")
    monkeypatch.setattr(retention, "apply", lambda *_: 1)
    rounds = Maintenance(
        sessions, stores, Retention(grace_seconds=0), leads=lambda: True, in_use=lambda: frozenset()
    )

    async def work() -> None:
        task = asyncio.create_task(rounds.run())
        await until_async(lambda: not images.exists(digest), "it is collected")
        task.cancel()

    asyncio.run(work())


def test_one_that_cannot_be_deleted_holds_up_no_other(
    sessions: Sessions, stores: Stores, images: RepairedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = [upload(sessions, images, one) for one in (b"locked", b"free")]
    for digest in digests:
        delete(sessions, digest)
    original = images.delete

    def locked(digest: str) -> None:
        if digest == digests[0]:
            raise Unavailable("store_unreachable", "The bucket does not let go of it.")
        original(digest)

    monkeypatch.setattr(images, "delete", locked)
    assert collect(sessions, stores, NOW) == 1
    assert [images.exists(digest) for digest in digests] == [True, False]


def test_one_that_cannot_be_deleted_can_be_uploaded_again(
    sessions: Sessions, stores: Stores, images: RepairedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = upload(sessions, images, b"locked in")
    delete(sessions, digest)

    def locked(digest: str) -> None:
        raise Unavailable("store_unreachable", "The bucket does not let go of it.")

    with monkeypatch.context() as patch:
        patch.setattr(images, "delete", locked)
        assert collect(sessions, stores, NOW) == 0
        monkeypatch.setattr(ledger, "ABANDONED", timedelta(0))
        assert upload(sessions, images, b"locked in") == digest
    assert collect(sessions, stores, NOW) == 0
    assert images.read(digest) == b"locked in"


def test_what_helm_serves_without_a_row_stays(
    sessions: Sessions, stores: Stores, images: RepairedStore
) -> None:
    digest = orphan(sessions, images, b"served by Helm")
    assert collect(sessions, stores, NOW, in_use={digest}) == 0
    assert images.exists(digest)


def test_the_same_bytes_that_come_again_are_kept(
    sessions: Sessions, stores: Stores, images: RepairedStore
) -> None:
    digest = upload(sessions, images, b"again")
    delete(sessions, digest)
    assert upload(sessions, images, b"again") == digest
    assert collect(sessions, stores, NOW) == 0
    assert images.read(digest) == b"again"


def test_a_row_cannot_refer_to_bytes_that_were_collected_between_its_two_steps(
    sessions: Sessions, stores: Stores, images: RepairedStore
) -> None:
    digest = orphan(sessions, images, b"slow")
    assert collect(sessions, stores, NOW) == 1
    with pytest.raises(Unavailable, match="Send them again"):
        keep(sessions, digest)


def test_bytes_that_are_just_being_deleted_are_claimed_once_they_are_gone(
    sessions: Sessions, stores: Stores, images: RepairedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = orphan(sessions, images, b"contested")
    deleting, go_on = threading.Event(), threading.Event()
    unlink = images.first.delete

    def slow(one: str) -> None:
        deleting.set()
        assert go_on.wait(10)
        unlink(one)

    monkeypatch.setattr(images.first, "delete", slow)
    with ThreadPoolExecutor() as pool:
        collected = pool.submit(collect, sessions, stores, NOW)
        assert deleting.wait(10)
        uploaded = pool.submit(upload, sessions, images, b"contested")
        time.sleep(0.2)
        assert not uploaded.done(), "it waits while they are deleted"
        go_on.set()
        assert collected.result(10) == 1
        assert uploaded.result(10) == digest
    assert images.read(digest) == b"contested"
    assert collect(sessions, stores, NOW) == 0


def test_claiming_ends_with_an_error_when_the_collector_has_died_in_the_middle(
    sessions: Sessions, stores: Stores, images: RepairedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(sessions, b"stuck")
    collector._condemn(sessions, NOW, ())
    monkeypatch.setattr(ledger, "CLAIM_SECONDS", 0.1)
    with pytest.raises(Unavailable, match="Send them again"):
        claim(sessions, b"stuck")
    monkeypatch.setattr(collector, "ABANDONED", timedelta(0))
    assert collect(sessions, stores, NOW) == 1
    claim(sessions, b"stuck")


def test_a_collector_that_was_stopped_for_long_deletes_nothing_when_it_wakes_up(
    sessions: Sessions, stores: Stores, images: RepairedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = orphan(sessions, images, b"late")
    monkeypatch.setattr(collector, "DELETE_SECONDS", -1.0)
    assert collect(sessions, stores, NOW) == 0
    assert images.exists(digest)


def test_uploads_and_deletions_of_the_same_bytes_against_two_collectors_lose_nothing(
    sessions: Sessions, stores: Stores, images: RepairedStore
) -> None:
    contents = [bytes([number]) * 10 for number in range(3)]
    end = threading.Event()
    lost: list[str] = []
    done = {"uploads": 0, "collected": 0}

    def write(content: bytes) -> None:
        while not end.is_set():
            try:
                digest = upload(sessions, images, content)
            except Unavailable:
                continue
            done["uploads"] += 1
            if images.read(digest) != content:
                lost.append(digest)
            delete(sessions, digest)

    def clean() -> None:
        while not end.is_set():
            done["collected"] += collect(sessions, stores, NOW)

    with ThreadPoolExecutor() as pool:
        running = [pool.submit(write, content) for content in contents]
        running += [pool.submit(clean) for _ in range(2)]
        time.sleep(2)
        # A busy machine is given the time that it needs for as many.
        late = time.monotonic() + 30
        while min(done.values()) <= 5 and time.monotonic() < late and not any(one.done() for one in running):
            time.sleep(0.05)
        end.set()
        for one in running:
            one.result(30)
    assert not lost
    assert min(done.values()) > 5, done
