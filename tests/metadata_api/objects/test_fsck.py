"""The check of the store finds every difference, both ways, and mends what the copy has."""

from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import ORMExecuteState

from metadata_api.database.object_tables import StoreCheck
from metadata_api.database.session import Sessions
from metadata_api.errors import NotFound, Unavailable
from metadata_api.objects import fsck, ledger
from metadata_api.objects.repair import RepairedStore
from metadata_api.schemas import fsck as bodies
from metadata_api.storage.folder import FolderStore
from tests.metadata_api.objects.keeping import claim, delete, entry, file_of, upload

Stores = dict[str, RepairedStore]


def check(
    sessions: Sessions, stores: Stores, *, repair: bool = False, seconds: float = 10
) -> bodies.StoreCheck:
    with sessions.begin() as session:
        fsck.request(session, repair=repair, by="somebody")
    while fsck.step(sessions, stores, seconds):
        pass
    with sessions() as session:
        return fsck.show(session)


def problems(sessions: Sessions) -> dict[str, int]:
    with sessions() as session:
        return ledger.problems(session)


def test_before_the_first_check_there_is_none(sessions: Sessions) -> None:
    with sessions() as session, pytest.raises(NotFound, match="POST"):
        fsck.show(session)


def test_a_whole_store_is_clean(sessions: Sessions, stores: Stores, images: RepairedStore) -> None:
    for number in range(5):
        upload(sessions, images, bytes([number]))
    found = check(sessions, stores)
    assert (found.state, found.objects, found.checked, found.checked_bytes) == ("finished", 5, 5, 5)
    assert found.is_clean
    assert found.findings == []


def test_what_is_missing_damaged_and_left_over_is_named(
    sessions: Sessions, stores: Stores, images: RepairedStore
) -> None:
    good, gone, other = (upload(sessions, images, one) for one in (b"good", b"gone", b"other"))
    file_of(images, gone).unlink()
    file_of(images, other).write_bytes(b"ether")
    left = images.put(b"left over")
    old = upload(sessions, images, b"old")
    delete(sessions, old)
    found = check(sessions, stores)
    assert {(one.sha256, one.problem) for one in found.findings} == {
        (gone, "missing"),
        (other, "damaged"),
        (left, "unknown"),
    }
    assert (found.missing, found.damaged, found.unreferenced, found.is_clean) == (1, 1, 2, False)
    assert problems(sessions) == {"missing": 1, "damaged": 1}
    assert not entry(sessions, left), "nothing condemns what may be another's"
    assert gone in found.readable()
    assert good not in found.readable()
    assert "0 predictions" in found.readable()
    assert f"{left} unknown: no row needs it" in found.readable()


def test_bytes_of_others_do_not_take_the_place_of_what_rows_lack(
    sessions: Sessions, stores: Stores, images: RepairedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fsck, "LISTED_FINDINGS", 3)
    lost = {upload(sessions, images, bytes([number])) for number in range(3)}
    for digest in lost:
        file_of(images, digest).unlink()
    for number in range(20):
        images.put(b"another's %d" % number)
    found = check(sessions, stores)
    assert {one.sha256 for one in found.findings if one.problem == "missing"} == lost
    assert (len(found.findings), found.unreferenced) == (6, 20)


def test_what_the_copy_has_is_repaired(
    sessions: Sessions, stores: Stores, images: RepairedStore, copy: FolderStore
) -> None:
    gone, other, lost = (upload(sessions, images, one) for one in (b"gone", b"other", b"lost"))
    copy.put(b"gone")
    copy.put(b"other")
    file_of(images, gone).unlink()
    file_of(images, other).write_bytes(b"ether")
    file_of(images, lost).unlink()
    found = check(sessions, stores, repair=True)
    assert (found.missing, found.damaged, found.repaired) == (2, 1, 2)
    assert (images.read(gone), images.read(other)) == (b"gone", b"other")
    assert problems(sessions) == {"missing": 1}
    upload_again = claim(sessions, b"lost")
    images.put(b"lost")
    assert upload_again == lost
    assert check(sessions, stores).is_clean
    assert problems(sessions) == {}


def test_a_check_goes_on_where_it_was_broken_off(
    sessions: Sessions, stores: Stores, images: RepairedStore
) -> None:
    for number in range(20):
        upload(sessions, images, bytes([number]))
    with sessions.begin() as session:
        fsck.request(session, repair=False, by="somebody")
    assert fsck.step(sessions, stores, 0)
    with sessions() as session:
        halfway = fsck.show(session)
    assert (halfway.state, halfway.checked) == ("running", 1)
    assert check(sessions, stores, seconds=0).checked == 20


def test_a_second_request_is_the_check_that_there_is(sessions: Sessions) -> None:
    with sessions.begin() as session:
        first = fsck.request(session, repair=False, by="somebody")
    with sessions.begin() as session:
        second = fsck.request(session, repair=True, by="somebody else")
    assert (second.id, second.repair) == (first.id, True)


def test_a_request_is_not_lost_when_the_check_before_it_ends_at_that_moment(
    sessions: Sessions, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = [True]

    def insert_after_another(*arguments: Any) -> Any:
        # Between the look at what is pending and the insert somebody requests a check, and it is over before the next.
        with sessions.begin() as session:
            session.add(StoreCheck(repair=False, requested_by="another"))
        over.clear()
        monkeypatch.setattr(fsck, "insert", insert)
        return insert(*arguments)

    def end_it(state: ORMExecuteState) -> None:
        if state.is_select and not over:
            over.append(True)
            while fsck.step(sessions, stores, 10):
                pass

    monkeypatch.setattr(fsck, "insert", insert_after_another)
    event.listen(sessions, "do_orm_execute", end_it)
    with sessions.begin() as session:
        mine = fsck.request(session, repair=False, by="me")
    assert (mine.requested_by, mine.state) == ("me", "requested")


def test_reading_repairs_from_the_copy(sessions: Sessions, images: RepairedStore, copy: FolderStore) -> None:
    digest = upload(sessions, images, b"read me")
    copy.put(b"read me")
    for how in (images.read, lambda one: b"".join(images.stream(one))):
        file_of(images, digest).write_bytes(b"read mE")
        try:
            assert how(digest) == b"read me"
        except Unavailable:
            assert b"".join(images.stream(digest)) == b"read me", (
                "the part that was sent cannot be taken back"
            )
        file_of(images, digest).unlink()
        assert how(digest) == b"read me"
    assert problems(sessions) == {}


def test_damage_that_nothing_repairs_is_written_down(sessions: Sessions, images: RepairedStore) -> None:
    digest = upload(sessions, images, b"read me")
    file_of(images, digest).write_bytes(b"read mE")
    with pytest.raises(Unavailable, match="Restore it"):
        images.read(digest)
    assert problems(sessions) == {"damaged": 1}
    images.put(b"read me")
    assert images.read(digest) == b"read me"


def test_a_file_of_this_machine_is_checked_before_it_is_given_out(
    sessions: Sessions, images: RepairedStore
) -> None:
    digest = upload(sessions, images, b"served")
    assert images.local(digest) == file_of(images, digest)
    file_of(images, digest).write_bytes(b"severd")
    with pytest.raises(Unavailable, match="other bytes"):
        images.local(digest)
